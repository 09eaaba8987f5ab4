//! Manifests and blobs as they are, byte for byte: for those who make their own, and for changes of annotations.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use serde_json::{Map, Value};

use crate::{
    blob::Blob,
    copy::{self, PlannedName},
    error::{Context as _, Error, Kind, Result},
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

/// A manifest or index with annotations set (`Some`) or removed (`None`); all else keeps its value and its place.
///
/// Errors: the document is no JSON object, or is too deep to be read.
pub fn annotated<'a>(
    bytes: &[u8],
    changes: impl IntoIterator<Item = (&'a String, &'a Option<String>)>,
) -> Result<Bytes> {
    let malformed = |e| Error::caused(Kind::Invalid, "malformed manifest", e);
    let mut document: Map<String, Value> = serde_json::from_slice(bytes).map_err(malformed)?;
    let mut annotations: Map<String, Value> = match document.get("annotations") {
        Some(Value::Object(annotations)) => annotations.clone(),
        _ => Map::new(),
    };
    for (key, value) in changes {
        match value {
            Some(value) => _ = annotations.insert(key.clone(), value.clone().into()),
            None => _ = annotations.shift_remove(key),
        }
    }
    if annotations.is_empty() {
        document.shift_remove("annotations");
    } else {
        document.insert("annotations".to_owned(), annotations.into());
    }
    serde_json::to_vec(&document).map(Bytes::from).map_err(malformed).context(|| "write the manifest")
}
