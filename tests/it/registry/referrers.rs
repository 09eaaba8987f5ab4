//! Referrers on registries that list them, on those that do not, and on those that pretend.

use artifact::{
    Kind,
    oci::{Descriptor, Digest, Index, media_type},
    store::ReadStore as _,
    stores::registry::Options,
};

use super::{kind, repository};
use crate::support::{
    samples::{Sample, TYPE},
    scripted::{Scripted, reply},
    writing::publish,
};

fn subject() -> Sample {
    Sample::of(&[b"subject"])
}

/// A registry of manifests by name that answers for the list of referrers with this.
fn listing(referrers: Vec<u8>, manifests: Vec<(String, String, Vec<u8>)>) -> Scripted {
    Scripted::start(move |request| {
        let path = request.line().split(' ').nth(1).unwrap();
        if path.contains("/referrers/") {
            return referrers.clone();
        }
        let found = manifests.iter().find(|(name, ..)| path.ends_with(&format!("/manifests/{name}")));
        match found {
            Some((_, media_type, bytes)) => reply(200, &[("content-type", media_type)], bytes),
            None => reply(404, &[], br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
        }
    })
}

async fn referrers(server: &Scripted) -> artifact::Result<Vec<Descriptor>> {
    repository(server.host(), "a", &Options::default()).referrers(subject().root()).await
}

fn tag() -> String {
    format!("sha256-{}", subject().root().digest.hex())
}

fn absent() -> Vec<u8> {
    reply(404, &[("content-type", "text/plain")], b"404 page not found")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_never_no_referrers() {
    for (answer, want) in [
        (reply(500, &[], b""), Kind::Unavailable),
        (reply(429, &[], b""), Kind::Unavailable),
        (reply(403, &[], b""), Kind::Denied),
        (reply(200, &[("content-type", "text/html")], b"<html>"), Kind::NotARegistry),
        (reply(200, &[("content-type", media_type::INDEX)], b"{"), Kind::NotARegistry),
        (reply(400, &[], b""), Kind::Invalid),
    ] {
        assert_eq!(kind(referrers(&listing(answer, vec![])).await), want);
    }
    let broken = listing(absent(), vec![(tag(), media_type::INDEX.into(), b"{".to_vec())]);
    assert_eq!(kind(referrers(&broken).await), Kind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_is_the_subject_itself_lists_nothing() {
    let (desc, bytes) = subject().manifests[0].clone();
    let server = listing(absent(), vec![(tag(), desc.media_type, bytes.to_vec())]);
    assert!(referrers(&server).await.unwrap().is_empty());
    let index = Sample::index(&[subject()]);
    let named = format!("sha256-{}", index.root().digest.hex());
    let bytes = index.manifests.last().unwrap().1.to_vec();
    let server = listing(absent(), vec![(named, media_type::INDEX.into(), bytes)]);
    let store = repository(server.host(), "a", &Options::default());
    assert!(store.referrers(index.root()).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_under_a_tag_is_believed_as_far_as_its_members_bear_it_out() {
    let (real, other) = (Sample::about(subject().root(), b"real"), Sample::of(&[b"unrelated"]));
    let gone = Sample::about(subject().root(), b"gone");
    let mut forged = real.root().clone();
    forged.artifact_type = Some("forged/type".into());
    let members = vec![forged, other.root().clone(), gone.root().clone(), Descriptor::of("text/plain", b"a blob")];
    let list = serde_json::to_vec(&Index::of(members)).unwrap();
    let mut manifests = vec![(tag(), media_type::INDEX.to_owned(), list)];
    for sample in [&real, &other] {
        let (desc, bytes) = &sample.manifests[0];
        manifests.push((desc.digest.to_string(), desc.media_type.clone(), bytes.to_vec()));
    }
    let found = referrers(&listing(absent(), manifests)).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].digest, found[0].artifact_type.as_deref()), (&real.root().digest, Some(TYPE)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_the_registry_is_read_over_all_pages_once() {
    let (one, two) = (Descriptor::of(media_type::MANIFEST, b"1"), Descriptor::of(media_type::MANIFEST, b"2"));
    let page = |members: &[&Descriptor]| {
        serde_json::to_vec(&Index::of(members.iter().map(|desc| (*desc).clone()).collect())).unwrap()
    };
    let (first, second) = (page(&[&one]), page(&[&one, &two]));
    let server = Scripted::start(move |request| {
        let kind = ("content-type", "application/vnd.oci.image.index.v1+json; charset=utf-8");
        match request.line().contains("page=2") {
            true => reply(200, &[kind], &second),
            false => reply(200, &[kind, ("link", "<?page=2>; rel=\"next\"")], &first),
        }
    });
    let mut expected = vec![one, two];
    expected.sort_by(|a, b| a.digest.cmp(&b.digest));
    assert_eq!(referrers(&server).await.unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_is_no_list_is_not_overwritten() {
    let (desc, bytes) = subject().manifests[0].clone();
    let (kind_of_tag, tagged) = (desc.media_type, bytes.to_vec());
    let server = Scripted::start(move |request| match request.line() {
        line if line.starts_with("PUT") => reply(201, &[], b""),
        line if line.contains("/manifests/sha256-") => reply(200, &[("content-type", &kind_of_tag)], &tagged),
        _ => absent(),
    });
    let store = repository(server.host(), "a", &Options::default());
    let (desc, bytes) = Sample::about(subject().root(), b"sbom").manifests[0].clone();
    assert_eq!(kind(publish(&store, &desc, &bytes, &[]).await), Kind::Unsupported);
    assert!(!server.lines().iter().any(|line| line.starts_with("PUT") && line.contains("sha256-")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_only_claims_to_list_is_not_believed() {
    // It confirms the subject, and has no list to show for it.
    let subject_digest = subject().root().digest.to_string();
    let list = std::sync::Mutex::new(None::<Vec<u8>>);
    let server = Scripted::start(move |request| {
        let fallback = request.line().contains("/manifests/sha256-");
        match request.line().split(' ').next().unwrap() {
            "PUT" if fallback => {
                *list.lock().unwrap() = Some(request.body.clone());
                reply(201, &[], b"")
            }
            "PUT" => reply(201, &[("oci-subject", &subject_digest)], b""),
            _ if fallback => match list.lock().unwrap().as_ref() {
                Some(list) => reply(200, &[("content-type", media_type::INDEX)], list),
                None => absent(),
            },
            _ => absent(),
        }
    });
    let store = repository(server.host(), "a", &Options::default());
    let (desc, bytes) = Sample::about(subject().root(), b"sbom").manifests[0].clone();
    publish(&store, &desc, &bytes, &[]).await.unwrap();
    let puts: Vec<_> = server.seen().into_iter().filter(|r| r.line().starts_with("PUT")).collect();
    let list: Index = serde_json::from_slice(&puts[1].body).unwrap();
    assert_eq!(list.manifests.iter().map(|d| &d.digest).collect::<Vec<&Digest>>(), [&desc.digest]);
}
