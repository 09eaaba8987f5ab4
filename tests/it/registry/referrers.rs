//! Referrers on registries that list them, on those that do not, and on those that pretend.

use std::sync::Arc;

use artifact::{
    Kind, copy,
    oci::{Descriptor, Digest, Index, Platform, media_type},
    store::{ReadStore, Store},
    stores::{Memory, registry::Options},
};

use super::{kind, repository};
use crate::support::{
    faulty::Faulty,
    samples::{Sample, TYPE, deliver, named},
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
        (reply(200, &[("content-type", media_type::INDEX)], b"{"), Kind::NotARegistry),
    ] {
        assert_eq!(kind(referrers(&listing(answer, vec![])).await), want);
    }
    let broken = listing(absent(), vec![(tag(), media_type::INDEX.into(), b"{".to_vec())]);
    assert_eq!(kind(referrers(&broken).await), Kind::Invalid);
}

/// What stands in front of a registry, or one that does not know the path, has many ways of saying so.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_the_apis_leads_to_the_tag() {
    let about = Sample::about(subject().root(), b"note");
    let list = serde_json::to_vec(&Index::of(vec![about.root().bare()])).unwrap();
    let (desc, bytes) = about.manifests[0].clone();
    for answer in [
        reply(200, &[("content-type", "text/html")], b"<html>"),
        reply(200, &[("content-type", "application/json")], br#"{"message":"welcome"}"#),
        reply(200, &[], b""),
        reply(400, &[], b""),
        reply(404, &[], b"<html>"),
        reply(405, &[], b""),
        reply(406, &[], b""),
        reply(501, &[], b""),
    ] {
        let manifests = vec![
            (tag(), media_type::INDEX.into(), list.clone()),
            (desc.digest.to_string(), desc.media_type.clone(), bytes.to_vec()),
        ];
        let found = referrers(&listing(answer.clone(), manifests)).await.unwrap();
        assert_eq!(found.iter().map(|found| &found.digest).collect::<Vec<_>>(), [&desc.digest]);
        assert!(referrers(&listing(answer, vec![])).await.unwrap().is_empty());
    }
    for given in ["application/json", "text/plain", ""] {
        let found = referrers(&listing(reply(200, &[("content-type", given)], &list), vec![])).await.unwrap();
        assert_eq!(found.len(), 1, "{given}");
    }
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
async fn a_later_page_that_is_no_list_is_an_error_and_not_the_end_of_the_list() {
    let first = Index::of(vec![Descriptor::of(media_type::MANIFEST, b"1")]);
    let first = serde_json::to_vec(&first).unwrap();
    let server = Scripted::start(move |request| match request.line() {
        line if line.contains("page=2") => reply(200, &[("content-type", "text/html")], b"<html>"),
        line if line.contains("/referrers/") => {
            reply(200, &[("content-type", media_type::INDEX), ("link", "<?page=2>; rel=\"next\"")], &first)
        }
        _ => absent(),
    });
    assert_eq!(kind(referrers(&server).await), Kind::NotARegistry);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_is_no_list_is_not_overwritten() {
    let (desc, bytes) = Sample::of(&[b"somebody else's"]).manifests[0].clone();
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

/// A registry without the API for referrers that serves the lists under tags as this type, in YAML.
fn without_api(list_type: &str) -> Faulty {
    Faulty::new(&format!(
        "{{on: GET referrers, nth: all, refuse: {{status: 404}}}}, \
         {{on: GET /manifests/sha256-, nth: all, change: {{headers: {{content-type: {list_type}}}}}}}, \
         {{on: PUT manifest, nth: all, change: {{headers: {{oci-subject: null}}}}}}"
    ))
}

fn platforms() -> Sample {
    let mut index = Index::of(Vec::new());
    let mut sample = Sample::default();
    for (n, architecture) in ["amd64", "arm64"].into_iter().enumerate() {
        let image = Sample::of(&[&[n as u8]]);
        let platform: Platform = format!("linux/{architecture}").parse().unwrap();
        index.manifests.push(Descriptor { platform: Some(Box::new(platform)), ..image.root().clone() });
        sample.blobs.extend(image.blobs);
        sample.manifests.extend(image.manifests);
    }
    let bytes = bytes::Bytes::from(serde_json::to_vec(&index).unwrap());
    sample.manifests.push((Descriptor::of(media_type::INDEX, &bytes), bytes));
    sample
}

fn digests(found: &[Descriptor]) -> Vec<Digest> {
    found.iter().map(|desc| desc.digest.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_list_is_one_by_its_content_whatever_it_is_served_as() {
    for list_type in [media_type::INDEX, "application/json", "text/plain", "null"] {
        let world = without_api(list_type);
        let store: Arc<dyn Store> = Arc::new(world.repository(&Options::default()));
        deliver(&store, &subject(), &["v1"]).await.unwrap();
        let (one, two) = (Sample::about(subject().root(), b"one"), Sample::about(subject().root(), b"two"));
        deliver(&store, &one, &[]).await.unwrap();
        deliver(&store, &two, &[]).await.unwrap();
        let from: Arc<dyn ReadStore> = Arc::new(world.repository(&Options::default()));
        let to: Arc<dyn Store> = Arc::new(Memory::new());
        let options = copy::Options { referrers: true, ..Default::default() };
        copy::between(&from, &named("v1"), &to, &options).await.unwrap();
        let mut expected = vec![one.root().digest.clone(), two.root().digest.clone()];
        expected.sort();
        assert_eq!(digests(&to.referrers(subject().root()).await.unwrap()), expected, "{list_type}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_does_not_say_what_it_is_is_one_by_its_keys() {
    let real = Sample::about(subject().root(), b"real");
    let (desc, bytes) = real.manifests[0].clone();
    let list = serde_json::json!({"schemaVersion": 2, "manifests": [desc]}).to_string().into_bytes();
    let manifest = (desc.digest.to_string(), desc.media_type, bytes.to_vec());
    for list_type in ["application/json", "text/plain", media_type::MANIFEST] {
        let server = listing(absent(), vec![(tag(), list_type.into(), list.clone()), manifest.clone()]);
        assert_eq!(digests(&referrers(&server).await.unwrap()), [real.root().digest.clone()], "{list_type}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_is_the_subject_itself_is_replaced_by_the_list() {
    for (subject, list_type) in [(subject(), media_type::INDEX), (platforms(), "text/plain")] {
        let world = without_api(list_type);
        let store: Arc<dyn Store> = Arc::new(world.repository(&Options::default()));
        let fallback = format!("sha256-{}", subject.root().digest.hex());
        deliver(&store, &subject, &["v1", &fallback]).await.unwrap();
        let sbom = Sample::about(subject.root(), b"sbom");
        deliver(&store, &sbom, &[]).await.unwrap();
        let list = world.store().await.resolve(&named(&fallback)).await.unwrap();
        let list = artifact::store::read_manifest(&*world.store().await, &list).await.unwrap();
        let list: Index = serde_json::from_slice(&list).unwrap();
        assert_eq!(digests(&list.manifests), [sbom.root().digest.clone()]);
        assert_eq!(world.healthy().resolve(&named("v1")).await.unwrap().digest, subject.root().digest);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_once_mistaken_for_a_list_loses_what_is_about_something_else() {
    let (world, subject) = (without_api(media_type::INDEX), platforms());
    let store: Arc<dyn Store> = Arc::new(world.repository(&Options::default()));
    let fallback = format!("sha256-{}", subject.root().digest.hex());
    deliver(&store, &subject, &["v1"]).await.unwrap();
    let old = Sample::about(subject.root(), b"old");
    deliver(&store, &old, &["old"]).await.unwrap();
    let mut mixed: Index = serde_json::from_slice(&subject.manifests.last().unwrap().1).unwrap();
    mixed.manifests.push(old.root().bare());
    let mixed = bytes::Bytes::from(serde_json::to_vec(&mixed).unwrap());
    let pushed = publish(&*store, &Descriptor::of(media_type::INDEX, &mixed), &mixed, &[&fallback]).await;
    pushed.unwrap();
    let sbom = Sample::about(subject.root(), b"sbom");
    deliver(&store, &sbom, &[]).await.unwrap();
    let list = world.store().await.resolve(&named(&fallback)).await.unwrap();
    let list = artifact::store::read_manifest(&*world.store().await, &list).await.unwrap();
    let list: Index = serde_json::from_slice(&list).unwrap();
    assert_eq!(digests(&list.manifests), [old.root().digest.clone(), sbom.root().digest.clone()]);
    assert_eq!(list.manifests[0].artifact_type.as_deref(), Some(TYPE));
}

/// Artifactory answers so for what is not there; another registry, for a list that is there, for a while.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_list_is_absent_only_if_the_subject_can_be_read_and_it_is_refused_again() {
    let denied = || reply(403, &[], b"");
    let (desc, bytes) = subject().manifests[0].clone();
    for (readable, refusals, want) in [(true, 9, Some(0)), (true, 1, Some(1)), (false, 9, None)] {
        let about = Sample::about(subject().root(), b"note");
        let list = serde_json::to_vec(&Index::of(vec![about.root().bare()])).unwrap();
        let (desc, bytes) = (desc.clone(), bytes.clone());
        let left = std::sync::atomic::AtomicUsize::new(refusals);
        let server = Scripted::start(move |request| match request.line() {
            line if line.contains("/referrers/") => absent(),
            line if line.ends_with(&tag()) => {
                use std::sync::atomic::Ordering::SeqCst;
                match left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
                    Ok(_) => denied(),
                    Err(_) => reply(200, &[("content-type", media_type::INDEX)], &list),
                }
            }
            line if line.ends_with(&desc.digest.to_string()) && readable => {
                reply(200, &[("content-type", desc.media_type.as_str())], &bytes)
            }
            line if line.ends_with(&about.root().digest.to_string()) => {
                reply(200, &[("content-type", media_type::MANIFEST)], &about.manifests[0].1)
            }
            _ => denied(),
        });
        let found = referrers(&server).await;
        assert_eq!(found.as_ref().ok().map(Vec::len), want, "{readable} {refusals}: {found:?}");
    }
}
