//! A registry says that it has content, and when the manifest comes it has not.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use artifact::{
    Code, Kind, Result,
    copy::{self, Options, Report},
    oci::{Digest, Parsed},
    store::Store,
    stores::registry::Registry,
};

use crate::support::{
    samples::{Sample, named, names, noise},
    scripted::{Request, Scripted, reply},
};

/// A registry that claims to have all content of a sample, and judges manifests by what it was sent, of which it keeps
/// this much.
struct Forgetful {
    server: Scripted,
    sample: Sample,
}

impl Forgetful {
    fn of(sample: &Sample, keeps: impl Fn(&Digest) -> bool + Send + Sync + 'static) -> Self {
        let (of, sent) = (sample.clone(), Mutex::new(HashSet::new()));
        let server = Scripted::start(move |request| answer(&of, request, &mut sent.lock().unwrap(), &keeps));
        Self { server, sample: sample.clone() }
    }

    async fn copied(&self) -> Result<Report> {
        let registry = Registry::new(self.server.host(), &Default::default()).unwrap();
        let to: Arc<dyn Store> = Arc::new(registry.repository("a").unwrap());
        let options = Options { names: names(&["v1"]), ..Options::default() };
        copy::between(&self.sample.in_memory(&["v1"]).await, &named("v1"), &to, &options).await
    }

    /// How often content was sent: each blob, and each manifest.
    fn sent(&self) -> Vec<usize> {
        let seen = self.server.seen();
        let puts = |bytes: &[u8]| seen.iter().filter(|r| r.line().starts_with("PUT") && r.body == bytes).count();
        self.sample.all().map(|(_, bytes)| puts(bytes)).collect()
    }
}

fn answer(sample: &Sample, request: &Request, sent: &mut HashSet<Digest>, keeps: &dyn Fn(&Digest) -> bool) -> Vec<u8> {
    let line = request.line();
    let named = sample.all().find(|(desc, _)| line.contains(&desc.digest.to_string().replace(':', "%3A")));
    let named = named.or_else(|| sample.all().find(|(desc, _)| line.contains(&desc.digest.to_string())));
    match (line.split(' ').next().unwrap(), named) {
        ("HEAD", Some((desc, _))) => {
            let size = desc.size.to_string();
            reply(200, &[("content-type", &desc.media_type), ("content-length", &size)], b"")
        }
        ("POST", _) if line.contains("mount=") => reply(201, &[("location", "/x")], b""),
        ("POST", _) => reply(202, &[("location", "/upload")], b""),
        ("PUT", Some((desc, _))) if line.contains("/upload") => {
            sent.extend(keeps(&desc.digest).then(|| desc.digest.clone()));
            reply(201, &[], b"")
        }
        ("PUT", _) => {
            let (desc, bytes) = sample.all().find(|(_, bytes)| *bytes == request.body).unwrap();
            let parsed = Parsed::read(&desc.media_type, bytes).unwrap();
            if parsed.children().iter().all(|(_, child)| sent.contains(&child.digest)) {
                sent.extend(keeps(&desc.digest).then(|| desc.digest.clone()));
                return reply(201, &[], b"");
            }
            reply(400, &[], br#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#)
        }
        _ => reply(404, &[], b""),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_lacks_after_all_is_sent_and_the_manifest_again() {
    let registry = Forgetful::of(&Sample::of(&[b"small", &noise(2 << 20, 1)]), |_| true);
    let done = registry.copied().await.unwrap();
    assert_eq!((done.names.len(), done.moved, done.present), (1, 3, 1), "{:?}", registry.server.lines());
    assert_eq!(registry.sent(), [1, 1, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_below_an_index_are_brought_again_too() {
    let children = [Sample::of(&[b"one"]), Sample::of(&[b"two"])];
    let registry = Forgetful::of(&Sample::index(&children), |_| true);
    registry.copied().await.unwrap();
    let sent = registry.sent();
    assert!(sent.iter().all(|times| *times > 0), "{sent:?} {:?}", registry.server.lines());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_refused_for_another_reason_is_sent_once_and_its_content_too() {
    let sample = Sample::of(&[b"one", b"two"]);
    let server = Scripted::start(|request| match request.line() {
        line if line.starts_with("POST") => reply(202, &[("location", "/upload")], b""),
        line if line.starts_with("PUT /upload") => reply(201, &[], b""),
        line if line.starts_with("PUT") => reply(400, &[], br#"{"errors":[{"code":"MANIFEST_INVALID"}]}"#),
        _ => reply(404, &[], b""),
    });
    let registry = Forgetful { server, sample };
    let error = registry.copied().await.unwrap_err();
    assert_eq!((error.code(), error.facts().digest.is_some()), (None, true), "{error}");
    assert!(!error.to_string().contains("all its content again"), "{error}");
    assert_eq!(registry.sent(), [1, 1, 1, 1], "{:?}", registry.server.lines());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_loses_again_is_an_error_and_no_name_moves() {
    let sample = Sample::of(&[b"kept", b"lost"]);
    let lost = sample.blobs[2].0.digest.clone();
    let registry = Forgetful::of(&sample, move |digest| *digest != lost);
    let error = registry.copied().await.unwrap_err();
    assert_eq!((error.code(), error.kind()), (Some(Code::ContentMissing), Kind::Invalid), "{error}");
    assert!(error.to_string().contains("after sending all its content again"), "{error}");
    assert_eq!(registry.sent(), [1, 1, 1, 2], "{:?}", registry.server.lines());
}
