//! Manifests and blobs as they are, byte for byte: for those who make their own, and for changes of annotations.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    blob::Blob,
    copy::{self, PlannedName},
    error::{Error, Kind, Result},
    graph::Root,
    location::Pin,
    oci::{Algorithm, Descriptor, Hasher, MAX_MANIFEST, Parsed, RefName, Role, media_type},
    store::{self, Intent, Item, NameChange, Presence, ReadStore, Store},
};

/// Most digests in a message.
const SHOWN: usize = 5;

/// A manifest that was written.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Written {
    /// Its media type, digest and size.
    pub descriptor: Descriptor,
    /// The names that stand for it now, with what they stood for before.
    pub names: Vec<PlannedName>,
}

/// Writes a manifest or index, and lets these names stand for it. Without any, a layout or archive lists it unnamed.
///
/// `media_type` defaults to that in the document, else to that of OCI for its keys.
///
/// Errors: more than 4 MiB; a malformed document, or one of another media type; content that it names and the store lacks
/// (all but what is elsewhere by its licence); the store refuses it.
pub async fn put_manifest(
    store: &Arc<dyn Store>,
    media_type: Option<&str>,
    bytes: Bytes,
    names: &[RefName],
) -> Result<Written> {
    if bytes.len() as u64 > MAX_MANIFEST {
        return Err(Error::limit(format!("the manifest has {} bytes; the limit is {MAX_MANIFEST}", bytes.len())));
    }
    let media_type = media_type.map_or_else(|| Parsed::sniff(&bytes), |given| Ok(given.to_owned()))?;
    let parsed = Parsed::read(&media_type, &bytes)?;
    let content: Vec<Item> = parsed
        .children()
        .into_iter()
        .filter(|(_, desc)| !desc.is_elsewhere())
        .map(|(role, desc)| Item { desc: desc.clone(), role })
        .collect();
    check_presence(store.as_ref(), &content).await?;
    let desc = Descriptor::of(&media_type, &bytes);
    let planned = copy::names(store, &[Root::new(desc.clone(), names.to_vec())]).await?;
    let changes: Vec<_> = names.iter().map(|name| NameChange::set(name.clone(), desc.clone())).collect();
    let listed = if names.is_empty() || parsed.subject().is_some() { vec![desc.clone()] } else { Vec::new() };
    let items = content.into_iter().chain([Item::manifest(desc.clone())]).collect();
    let write =
        store::begin(store.as_ref(), Intent { items, listed, names: changes.clone(), ..Intent::default() }).await?;
    write.puts().manifest(&desc, &bytes).await?;
    changes.into_iter().try_for_each(|change| write.name(change))?;
    write.commit().await?;
    Ok(Written { descriptor: desc, names: planned })
}

/// Errors: the store lacks some of this content.
async fn check_presence(store: &dyn ReadStore, content: &[Item]) -> Result<()> {
    let found = store.has(content).await?;
    let lacks = |(item, presence): (&Item, &Presence)| match presence {
        Presence::Unknown => None,
        presence => (!presence.fits(&item.desc)).then(|| item.desc.digest.to_string()),
    };
    let missing: Vec<String> = content.iter().zip(&found).filter_map(lacks).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let more = missing.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let shown = missing.get(..SHOWN).unwrap_or(&missing).join(", ");
    Err(Error::new(Kind::Invalid, format!("the manifest names content that {store} lacks: {shown}{more}")))
}

/// Writes a blob. Errors: the content has another digest or size than `desc`; the store refuses it.
pub async fn put_blob(store: &dyn Store, desc: &Descriptor, blob: &dyn Blob) -> Result<()> {
    let write = store::begin(store, Intent { items: vec![Item::blob(desc.clone())], ..Intent::default() }).await?;
    write.puts().put(desc, blob, &[]).await?;
    write.commit().await.map(drop)
}

/// The descriptor of a blob in a store, by its digest or the first digits of it; the media type is that of bytes.
///
/// Errors: kind `NotFound`; `Ambiguous` if several digests start so; the first digits, in a store that cannot list its
/// content.
pub async fn blob(store: &dyn ReadStore, pin: &Pin) -> Result<Descriptor> {
    let digest = match pin {
        Pin::Digest(digest) => digest.clone(),
        Pin::Prefix(prefix) => store::blob_with_prefix(store, prefix).await?,
    };
    let size = store::size(store, &digest, Role::Blob).await?;
    Ok(Descriptor::new(media_type::OCTET_STREAM, digest, size))
}

/// The descriptor of bytes that are read once; the media type is that of bytes. Errors: they cannot be read.
pub async fn describe_blob(blob: &dyn Blob) -> Result<Descriptor> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut stream = blob.open(0).await?;
    while let Some(chunk) = stream.try_next().await? {
        hasher.update(&chunk);
    }
    Ok(Descriptor::new(media_type::OCTET_STREAM, hasher.finish(), blob.size()))
}

/// A manifest or index with annotations set (`Some`) or removed (`None`). All else keeps its text and its place, and if
/// nothing changes, all of it does.
///
/// Errors: the document is no JSON object; its annotations are no object of texts.
pub fn annotated<'a>(
    bytes: &Bytes,
    changes: impl IntoIterator<Item = (&'a String, &'a Option<String>)>,
) -> Result<Bytes> {
    let malformed = |e| Error::caused(Kind::Invalid, "malformed manifest", e);
    let Fields(mut fields) = serde_json::from_slice(bytes).map_err(malformed)?;
    let at = fields.iter().position(|(key, _)| key == "annotations");
    let own = at.and_then(|at| fields.get(at)).map_or("null", |(_, raw)| raw.get());
    let before: Option<Map<String, Value>> = serde_json::from_str(own).map_err(malformed)?;
    let before = before.unwrap_or_default();
    let mut annotations = before.clone();
    for (key, value) in changes {
        match value {
            Some(value) => _ = annotations.insert(key.clone(), value.clone().into()),
            None => _ = annotations.shift_remove(key),
        }
    }
    if annotations == before {
        return Ok(bytes.clone());
    }
    let raw = serde_json::value::to_raw_value(&annotations).map_err(malformed)?;
    match at.and_then(|at| fields.get_mut(at)) {
        Some((_, own)) => *own = raw,
        None => fields.push(("annotations".to_owned(), raw)),
    }
    fields.retain(|(key, _)| key != "annotations" || !annotations.is_empty());
    serde_json::to_vec(&Fields(fields)).map(Bytes::from).map_err(malformed)
}

/// The fields of a JSON object, in their order and with their text.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(Object)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(document: &str, changes: &[(&str, Option<&str>)]) -> String {
        let changes: Vec<_> =
            changes.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect();
        let changes = changes.iter().map(|(key, value)| (key, value));
        let bytes = annotated(&Bytes::from(document.to_owned()), changes).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn only_annotations_change_and_all_else_keeps_its_text() {
        let document = r#"{"n":12345678901234567890123,"annotations":{"a":"1","b":"2"},"x":{"y":1.50, "z":[]}}"#;
        assert_eq!(
            changed(document, &[("a", None), ("c", Some("3"))]),
            r#"{"n":12345678901234567890123,"annotations":{"b":"2","c":"3"},"x":{"y":1.50, "z":[]}}"#
        );
        assert_eq!(
            changed(document, &[("a", None), ("b", None)]),
            r#"{"n":12345678901234567890123,"x":{"y":1.50, "z":[]}}"#
        );
        assert_eq!(changed(r#"{"n":1}"#, &[("a", Some("b"))]), r#"{"n":1,"annotations":{"a":"b"}}"#);
    }

    #[test]
    fn a_document_that_says_so_already_keeps_every_byte() {
        let document = "{\n  \"annotations\": {\"a\": \"1\"}\n}\n";
        assert_eq!(changed(document, &[("a", Some("1")), ("b", None)]), document);
        let annotations = r#"{"annotations":null}"#;
        assert_eq!(changed(annotations, &[("b", None)]), annotations);
    }
}
