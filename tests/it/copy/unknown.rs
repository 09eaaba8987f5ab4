//! Manifests of media types that are not known here, and what is no manifest at all: they travel as they are.

use std::sync::Arc;

use artifact::{
    Kind, copy,
    copy::copy_root,
    oci::{Descriptor, Index, media_type},
    store::{Item, NameChange, ReadStore, Store, begin, remove_name},
    stores::Layout,
};
use bytes::Bytes;

use super::{kind, options, with_referrers};
use crate::{
    stores::{archive, layout, memory},
    support::{
        faulty::Faulty,
        samples::{Sample, deliver, named, ref_name},
        scripted::{Scripted, reply},
    },
};

/// What notation and oras of 2022 wrote.
const ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";
const XML: &str = "application/xml";

/// An image, a signature on it of a withdrawn type, an index of both, and a text that is no manifest.
struct Old {
    image: Sample,
    signature: (Descriptor, Bytes),
    signed: (Descriptor, Bytes),
    index: (Descriptor, Bytes),
    text: (Descriptor, Bytes),
}

impl Old {
    fn new() -> Self {
        let image = Sample::of(&[b"image"]);
        let signed = (Descriptor::of("text/plain", b"signature"), Bytes::from_static(b"signature"));
        let signature = serde_json::json!({
            "mediaType": ARTIFACT,
            "artifactType": "application/vnd.cncf.notary.signature",
            "blobs": [signed.0],
            "subject": image.root(),
        });
        let signature = Bytes::from(signature.to_string());
        let signature = (Descriptor::of(ARTIFACT, &signature), signature);
        let index = Index::of(vec![image.root().clone(), signature.0.clone()]);
        let index = Bytes::from(serde_json::to_vec(&index).unwrap());
        let text = Bytes::from_static(b"<x/>");
        Self {
            image,
            signature,
            signed,
            index: (Descriptor::of(media_type::INDEX, &index), index),
            text: (Descriptor::of(XML, &text), text),
        }
    }

    /// Stores all of it under the tags `v1`, `sig`, `index` and `meta`.
    async fn deliver(&self, to: &Arc<dyn Store>) {
        deliver(to, &self.image, &["v1"]).await.unwrap();
        let write = begin(to.as_ref(), Default::default()).await.unwrap();
        write.puts().put(&self.signed.0, &self.signed.1, &[]).await.unwrap();
        for (tag, (desc, bytes)) in [("sig", &self.signature), ("index", &self.index), ("meta", &self.text)] {
            write.puts().manifest(desc, bytes).await.unwrap();
            write.name(NameChange::set(ref_name(tag), desc.bare())).unwrap();
        }
        write.commit().await.unwrap();
    }

    /// Whether all of this is there, byte for byte, with the type that it had.
    async fn is_at(&self, store: &dyn ReadStore, manifests: &[&(Descriptor, Bytes)]) {
        for (desc, bytes) in manifests {
            assert_eq!(artifact::store::read(store, &Item::manifest(desc.clone()), 2000).await.unwrap(), bytes);
        }
        for (desc, bytes) in self.image.blobs.iter().chain([&self.signed]) {
            let found = artifact::store::read(store, &Item::blob(desc.clone()), 2000).await;
            assert_eq!(found.unwrap(), bytes, "{}", desc.media_type);
        }
    }
}

#[tokio::test]
async fn layouts_and_archives_carry_everything_with_its_name() {
    let old = Old::new();
    for source in [layout, archive, memory] {
        for destination in [layout, archive, memory] {
            let (from, to) = (source(), destination());
            if from.store.abilities().needs_all {
                let filled = layout();
                old.deliver(&filled.store).await;
                for tag in ["v1", "sig", "index", "meta"] {
                    copy::between(&filled.again(), &named(tag), &from.store, &options(&[tag])).await.unwrap();
                }
            } else {
                old.deliver(&from.store).await;
            }
            for (tag, (desc, bytes)) in [("sig", &old.signature), ("meta", &old.text)] {
                copy::between(&from.again(), &named(tag), &to.store, &options(&[tag])).await.unwrap();
                assert_eq!(to.again().resolve(&named(tag)).await.unwrap(), *desc, "{} to {}", from.store, to.store);
                let there = artifact::store::read(&*to.again(), &Item::manifest(desc.clone()), 2000).await;
                assert_eq!(there.unwrap(), bytes);
            }
            // The signature comes along with what it is about, as does a child of an index.
            let signed = destination();
            copy::between(&from.again(), &named("v1"), &signed.store, &with_referrers(&["v1"])).await.unwrap();
            let found = signed.again().referrers(old.image.root()).await.unwrap();
            assert_eq!(found.iter().map(|desc| &desc.digest).collect::<Vec<_>>(), [&old.signature.0.digest]);
            assert_eq!(found[0].artifact_type.as_deref(), Some("application/vnd.cncf.notary.signature"));
            old.is_at(&*signed.again(), &[&old.image.manifests[0], &old.signature]).await;
            let both = destination();
            copy::between(&from.again(), &named("index"), &both.store, &options(&["v1"])).await.unwrap();
            old.is_at(&*both.again(), &[&old.image.manifests[0], &old.signature, &old.index]).await;
            assert_eq!(artifact::check::check(&both.again()).await.unwrap(), [], "{}", both.store);
        }
    }
}

#[tokio::test]
async fn what_a_layout_lists_under_another_type_keeps_its_entry() {
    let old = Old::new();
    let (from, dir) = (memory(), tempfile::tempdir().unwrap());
    old.deliver(&from.store).await;
    let to: Arc<dyn Store> = Arc::new(Layout::create(dir.path()).unwrap());
    copy::between(&from.again(), &named("meta"), &to, &options(&["meta"])).await.unwrap();
    let list: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("index.json")).unwrap()).unwrap();
    let entry = &list["manifests"][0];
    assert_eq!((entry["mediaType"].as_str(), entry["size"].as_u64()), (Some(XML), Some(4)));
    assert_eq!(entry["annotations"]["org.opencontainers.image.ref.name"], "meta");
}

#[tokio::test]
async fn they_are_fetched_from_a_registry_as_manifests() {
    let (old, world) = (Old::new(), Faulty::new(""));
    old.deliver(&world.store().await).await;
    // Our registry serves no text as what it is: a browser might take it for a page.
    remove_name(&*world.store().await, ref_name("meta")).await.unwrap();
    let from: Arc<dyn ReadStore> = Arc::new(world.repository(&Default::default()));
    let to = layout();
    copy::between(&from, &named("v1"), &to.store, &with_referrers(&["v1"])).await.unwrap();
    assert_eq!(to.again().referrers(old.image.root()).await.unwrap().len(), 1);
    old.is_at(&*to.again(), &[&old.signature]).await;
    for tag in ["sig", "index"] {
        copy::between(&from, &named(tag), &to.store, &options(&[tag])).await.unwrap();
    }
    assert_eq!(to.again().resolve(&named("sig")).await.unwrap(), old.signature.0);
    old.is_at(&*to.again(), &[&old.index, &old.signature]).await;
    assert_eq!(artifact::check::check(&from).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_comes_as_what_it_was_served_as() {
    let (desc, bytes) = Old::new().text;
    let served = bytes.clone();
    let server = Scripted::start(move |request| match request.line() {
        line if line.contains("/manifests/") => reply(200, &[("content-type", XML)], &served),
        _ => reply(404, &[], b""),
    });
    let from: Arc<dyn ReadStore> = Arc::new(
        artifact::stores::registry::Registry::new(server.host(), &Default::default()).unwrap().repository("a").unwrap(),
    );
    let to = layout();
    copy::between(&from, &named("meta"), &to.store, &options(&["meta"])).await.unwrap();
    assert_eq!(to.again().resolve(&named("meta")).await.unwrap(), desc);
}

#[tokio::test]
async fn a_registry_that_does_not_take_them_is_sent_nothing_else() {
    let (old, world) = (Old::new(), Faulty::new(""));
    let from = layout();
    old.deliver(&from.store).await;
    let to: Arc<dyn Store> = Arc::new(world.repository(&Default::default()));
    for (tag, media_type) in [("sig", ARTIFACT), ("meta", XML)] {
        let error = copy::between(&from.again(), &named(tag), &to, &options(&[tag, "other"])).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        let text = error.to_string();
        assert!(text.contains(&format!("`{media_type}`")) && text.contains(&format!("`{tag}`")), "{text}");
    }
    assert_eq!(
        kind(copy::between(&from.again(), &named("v1"), &to, &with_referrers(&["v1"])).await),
        Kind::Unsupported
    );
    assert_eq!(kind(copy::between(&from.again(), &named("index"), &to, &options(&["v1"])).await), Kind::Unsupported);
    assert_eq!(world.count("POST upload"), 0);
    assert!(to.list_names().await.unwrap().names.is_empty());
    let left = world.store().await.inventory().await.unwrap().unwrap();
    assert!(left.blobs.is_empty() && left.entries.is_empty());
    // The rest of what is there goes all the same.
    copy::between(&from.again(), &named("v1"), &to, &options(&["v1"])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_takes_them_gets_them_under_their_names() {
    for first in [201, 404] {
        let old = Old::new();
        let from = layout();
        old.deliver(&from.store).await;
        let digest = old.signature.0.digest.to_string();
        let unknown = br#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"the blob is still to come"}]}"#;
        let server = Scripted::start(move |request| match request.line() {
            // It judges what the manifest points at, or it does not.
            line if line.starts_with("PUT") && line.ends_with(&digest) => reply(first, &[], unknown),
            line if line.starts_with("POST") => reply(202, &[("location", "/upload")], b""),
            line if line.starts_with("PUT") => reply(201, &[("oci-subject", "sha256:0")], b""),
            line if line.contains("/referrers/") => {
                reply(200, &[("content-type", media_type::INDEX)], br#"{"schemaVersion":2,"manifests":[]}"#)
            }
            _ => reply(404, &[], b""),
        });
        let registry = artifact::stores::registry::Registry::new(server.host(), &Default::default()).unwrap();
        let to: Arc<dyn Store> = Arc::new(registry.repository("a").unwrap());
        let root = from.again().resolve(&named("sig")).await.unwrap();
        let done = copy_root(&from.again(), root, &to, &options(&["sig"])).await;
        done.unwrap_or_else(|e| panic!("{first}: {e}: {:?}", server.lines()));
        let named: Vec<_> = server.seen().into_iter().filter(|seen| seen.line().ends_with("/manifests/sig")).collect();
        let put = named.iter().find(|seen| seen.line().starts_with("PUT")).unwrap();
        assert_eq!((put.header("content-type"), &put.body[..]), (ARTIFACT, &old.signature.1[..]));
        assert!(server.seen().iter().any(|seen| seen.body == b"signature"));
    }
}
