//! Stores as repositories: what they are asked.

use std::sync::Arc;

use artifact::{
    oci::RepositoryName,
    serve::{Mounted, Repositories as _},
    store::{remove_name, set_name},
    stores::{Archive, Layout},
};

use crate::support::{
    samples::{Sample, deliver, named, ref_name},
    watched::{Fault, Watched},
};

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

#[tokio::test]
async fn the_names_are_listed_once_for_all_tags_asked_and_again_when_they_have_changed() {
    let dir = tempfile::tempdir().unwrap();
    let sample = Sample::of(&[b"content"]);
    let layout = Watched::new(Arc::new(Layout::create(dir.path().join("bundle")).unwrap()), Fault::None);
    let archive = Watched::new(Arc::new(Archive::create(dir.path().join("delta.tar")).unwrap()), Fault::None);
    deliver(&(Arc::clone(&layout) as _), &sample, &["ghcr.io/a/b:v1", "plain"]).await.unwrap();
    deliver(&(Arc::clone(&archive) as _), &sample, &["ghcr.io/a/b:v2"]).await.unwrap();
    let all =
        Mounted::new().and(name("bundle"), Arc::clone(&layout) as _).and(name("delta"), Arc::clone(&archive) as _);
    let ask = async |repository: &str, tag: &str| {
        let found = all.get(&name(repository)).await.unwrap();
        let resolved = match found {
            Some(found) => found.resolve(&named(tag)).await.is_ok(),
            None => false,
        };
        (resolved, layout.questions(), archive.questions())
    };
    layout.questions();
    archive.questions();
    // The first question lists.
    let (found, layout_asked, archive_asked) = ask("a/b", "v1").await;
    assert!(found);
    assert_eq!(layout_asked, ["names_version", "names", "resolve ghcr.io/a/b:v1"]);
    assert_eq!(archive_asked, ["names_version", "names"]);
    // All others ask only whether the names are as they were, and the one store for the one name.
    for (repository, tag, from_layout, from_archive) in [
        ("a/b", "v1", Some("resolve ghcr.io/a/b:v1"), None),
        ("ghcr.io/a/b", "v2", None, Some("resolve ghcr.io/a/b:v2")),
        ("bundle", "plain", Some("resolve plain"), None),
        ("bundle", "missing", None, None),
        ("a/b", "sha256-00.sig", None, None),
        ("nowhere", "v1", None, None),
    ] {
        let (found, layout_asked, archive_asked) = ask(repository, tag).await;
        assert_eq!(found, from_layout.or(from_archive).is_some(), "{repository}:{tag}");
        let expected = |one: Option<&'static str>| ["names_version"].into_iter().chain(one).collect::<Vec<_>>();
        assert_eq!(layout_asked, expected(from_layout), "{repository}:{tag}");
        assert_eq!(archive_asked, expected(from_archive), "{repository}:{tag}");
    }
    // Another process gives a name and takes one away.
    let other = Layout::open(dir.path().join("bundle")).unwrap();
    set_name(&other, ref_name("quay.io/c:v3"), sample.root()).await.unwrap();
    remove_name(&other, ref_name("plain")).await.unwrap();
    let (found, layout_asked, archive_asked) = ask("c", "v3").await;
    assert!(found);
    assert_eq!(layout_asked, ["names_version", "names", "resolve quay.io/c:v3"]);
    assert_eq!(archive_asked, ["names_version"]);
    assert!(!ask("bundle", "plain").await.0);
    // So does this one, to the archive.
    deliver(&(Arc::clone(&archive) as _), &sample, &["quay.io/c:v4"]).await.unwrap();
    archive.questions();
    let (found, layout_asked, archive_asked) = ask("c", "v4").await;
    assert!(found);
    assert_eq!(layout_asked, ["names_version"]);
    assert_eq!(archive_asked, ["names_version", "names", "resolve quay.io/c:v4"]);
    let tags = all.get(&name("c")).await.unwrap().unwrap();
    assert_eq!(tags.list_names().await.unwrap().names, ["v3", "v4"]);
}
