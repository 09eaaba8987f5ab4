//! An index that is copied as it is, without some of its members.

use std::sync::Arc;

use artifact::{
    Code, Kind,
    check::{Finding, Severity, What, check, check_with},
    copy::{self, Options, Selected, Selection, narrow},
    oci::{Tag, annotation},
    store::{Item, Name, Presence, ReadStore, Store, delete, set_name},
    stores::registry,
};

use super::{
    STORES, kind,
    narrow::{PLATFORMS, images},
};
use crate::{
    stores::{Candidate, archive, layout},
    support::{
        faulty::Faulty,
        samples::{Sample, deliver, named, names, ref_name},
        server,
    },
};

const LISTED: [fn() -> Candidate; 2] = [layout, archive];

/// The index of three images with attestations, signed in both ways, and an SBOM of its first image.
async fn signed() -> (Sample, Arc<dyn ReadStore>) {
    let sample = images();
    let from: Arc<dyn Store> = Arc::new(artifact::stores::Memory::new());
    deliver(&from, &sample, &["v1"]).await.unwrap();
    deliver(&from, &Sample::about(sample.root(), b"signature"), &[]).await.unwrap();
    deliver(&from, &Sample::about(&sample.manifests[0].0, b"of amd64"), &[]).await.unwrap();
    let [companion, ..] = Tag::companions_of(&sample.root().digest);
    set_name(&*from, ref_name(&companion), &sample.manifests[0].0).await.unwrap();
    (sample, from as Arc<dyn ReadStore>)
}

async fn selected(from: &Arc<dyn ReadStore>, platforms: &[&str], attestations: bool) -> Selected {
    let mut selection = Selection::default();
    selection.platforms = platforms.iter().map(|text| text.parse().unwrap()).collect();
    selection.attestations = attestations;
    narrow(from, from.resolve(&named("v1")).await.unwrap(), &selection).await.unwrap()
}

async fn copied(
    from: &Arc<dyn ReadStore>,
    to: &Arc<dyn Store>,
    platforms: &[&str],
    attestations: bool,
) -> artifact::Result<copy::Report> {
    let root = selected(from, platforms, attestations).await.to_root(names(&["v1"]));
    let options = Options { referrers: true, ..Options::default() };
    copy::copy_roots(std::slice::from_ref(from), vec![root], to, &options).await
}

/// Which of the members are here, in the order of the index.
async fn here(sample: &Sample, to: &Arc<dyn Store>) -> Vec<bool> {
    let members: Vec<Item> = sample.manifests[..6].iter().map(|(desc, _)| Item::manifest(desc.bare())).collect();
    to.has(&members).await.unwrap().into_iter().map(|found| matches!(found, Presence::Here { .. })).collect()
}

async fn found(store: &Arc<dyn Store>) -> Vec<Finding> {
    let store = Arc::clone(store) as Arc<dyn ReadStore>;
    let findings = check(&store).await.unwrap();
    // A check of the name alone finds the same of it.
    let only = artifact::check::Options { only: Some(named("v1")), ..Default::default() };
    let of_it: Vec<What> = check_with(&store, &only).await.unwrap().into_iter().map(|f| f.what).collect();
    let all = findings.iter().map(|f| f.what).filter(|what| *what != What::Unreferenced);
    assert_eq!(of_it, all.collect::<Vec<_>>());
    findings
}

async fn platforms(sample: &Sample, store: &Arc<dyn Store>) -> Option<String> {
    store.kept_platforms(sample.root()).await.unwrap().map(|platforms| platforms.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_goes_to_every_local_store_as_it_is_with_its_members_and_what_refers_to_it() {
    let (sample, from) = signed().await;
    for new in STORES {
        let Candidate { store: to, .. } = &new();
        let done = copied(&from, to, &["linux/amd64", "linux/arm64"], true).await.unwrap();
        assert_eq!(to.resolve(&named("v1")).await.unwrap(), sample.root().bare(), "{to}");
        assert_eq!(here(&sample, to).await, [true, true, false, true, true, false], "{to}");
        assert_eq!(done.names.len(), 2, "{to}: the tag, and that of cosign");
        assert_eq!(to.referrers(sample.root()).await.unwrap().len(), 1, "{to}");
        assert_eq!(to.referrers(&sample.manifests[0].0).await.unwrap().len(), 1, "{to}");
        let again = copied(&from, to, &["linux/amd64", "linux/arm64"], true).await.unwrap();
        assert_eq!((again.moved, again.names.iter().all(|name| name.outcome == "same")), (0, true), "{to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_out_is_noted_and_what_is_lost_is_an_error() {
    let (sample, from) = signed().await;
    for new in LISTED {
        let Candidate { store: to, .. } = &new();
        copied(&from, to, &["linux/amd64", "linux/arm64"], true).await.unwrap();
        assert_eq!(platforms(&sample, to).await.as_deref(), Some("linux/amd64,linux/arm64,unknown/unknown"), "{to}");
        let findings = found(to).await;
        assert_eq!(findings.len(), 2, "{to}: {findings:?}");
        assert!(findings.iter().all(|f| (f.severity, f.what) == (Severity::Note, What::LeftOut)), "{findings:?}");
        // An image and the attestation about the other one.
        for lost in [1, 3] {
            delete(&**to, Item::manifest(sample.manifests[lost].0.clone())).await.unwrap();
            let missing: Vec<_> = found(to).await.into_iter().filter(|f| f.severity == Severity::Error).collect();
            assert_eq!(missing.len(), 1, "{to}: {missing:?}");
            assert_eq!(
                (missing[0].what, &*missing[0].place),
                (What::Missing, &*sample.manifests[lost].0.digest.to_string())
            );
            copied(&from, to, &["linux/amd64", "linux/arm64"], true).await.unwrap();
            assert!(found(to).await.iter().all(|f| f.severity == Severity::Note));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn later_copies_add_to_what_is_there_until_it_is_whole() {
    let (sample, from) = signed().await;
    for new in LISTED {
        let Candidate { store: to, .. } = &new();
        copied(&from, to, &["linux/amd64", "linux/arm64"], false).await.unwrap();
        assert_eq!(platforms(&sample, to).await.as_deref(), Some("linux/amd64,linux/arm64"));
        set_name(&**to, ref_name("v2"), sample.root()).await.unwrap();
        copied(&from, to, &["linux/amd64", PLATFORMS[2]], true).await.unwrap();
        let all = PLATFORMS.join(",");
        assert_eq!(platforms(&sample, to).await.as_deref(), Some(&*all), "{to}: attestations were left out before");
        let entries = to.inventory().await.unwrap().unwrap().entries;
        let of_it: Vec<_> = entries.iter().filter(|entry| entry.digest == sample.root().digest).collect();
        let said = |key| of_it.iter().map(|entry| entry.annotations.get(key).unwrap().as_str()).collect::<Vec<_>>();
        assert_eq!((said(annotation::REF_NAME), said(annotation::PLATFORMS)), (vec!["v1", "v2"], vec![&*all; 2]));
        copied(&from, to, &[], true).await.unwrap();
        assert_eq!((platforms(&sample, to).await, found(to).await), (None, Vec::new()), "{to}");
        copied(&from, to, &["linux/amd64", "linux/arm64"], false).await.unwrap();
        assert_eq!(platforms(&sample, to).await, None, "{to}: it stays whole");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attestations_alone_are_left_out_of_the_index_as_it_is() {
    let (sample, from) = signed().await;
    for new in LISTED {
        let Candidate { store: to, .. } = &new();
        copied(&from, to, &[], false).await.unwrap();
        assert_eq!(here(&sample, to).await, [true, true, true, false, false, false], "{to}");
        assert_eq!(platforms(&sample, to).await, Some(PLATFORMS.join(",")));
        assert!(found(to).await.iter().all(|f| f.what == What::LeftOut), "{to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_another_artifact_has_is_not_left_out() {
    let (sample, from) = signed().await;
    for new in LISTED {
        let Candidate { store: to, .. } = &new();
        copied(&from, to, &["linux/amd64", "linux/arm64"], false).await.unwrap();
        let windows = Sample { manifests: vec![sample.manifests[2].clone()], ..sample.clone() };
        deliver(to, &windows, &["windows"]).await.unwrap();
        let findings = check(&(Arc::clone(to) as Arc<dyn ReadStore>)).await.unwrap();
        assert!(findings.iter().all(|f| f.place != windows.root().digest.to_string()), "{to}: {findings:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_copy_from_a_store_that_lacks_members_names_those_that_are_there() {
    let (sample, from) = signed().await;
    for new in STORES {
        let Candidate { store: part, .. } = &new();
        copied(&from, part, &["linux/amd64", "linux/arm64"], true).await.unwrap();
        let part = Arc::clone(part) as Arc<dyn ReadStore>;
        let Candidate { store: to, .. } = &layout();
        let error = copied(&part, to, &[], true).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Invalid, Some(Code::MembersMissing)));
        assert_eq!(error.facts().name.as_deref(), Some("linux/amd64,linux/arm64"));
        assert!(
            error.to_string().contains(&format!("lacks members of {}: {}", sample.root().digest, PLATFORMS[2])),
            "{error}"
        );
        let error = copied(&part, to, &["linux/amd64", PLATFORMS[2]], true).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::NotFound, Some(Code::NoSuchPlatform)), "{error}");
        copied(&part, to, &["linux/amd64", "linux/arm64"], true).await.unwrap();
        // What the destination has need not be at the source.
        copied(&from, to, &[PLATFORMS[2], "linux/arm64"], true).await.unwrap();
        copied(&part, to, &[], true).await.unwrap();
        assert_eq!(found(to).await, []);
    }
}

#[tokio::test]
async fn a_registry_that_refuses_it_does_so_before_any_name_moves() {
    let (_, from) = signed().await;
    let server = server::in_memory().await;
    let client = registry::Registry::new(&server.addr().to_string(), &Default::default()).unwrap();
    let to: Arc<dyn Store> = Arc::new(client.repository("a").unwrap());
    let error = copied(&from, &to, &["linux/amd64", "linux/arm64"], true).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Invalid, Some(Code::PartialIndexRefused)), "{error}");
    assert_eq!(error.facts().registry.as_deref(), Some(&*server.addr().to_string()));
    assert!(to.list_names().await.unwrap().names.is_empty());
    assert_eq!(kind(to.resolve(&Name::from(ref_name("v1"))).await), Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_takes_it_gets_it_by_digest_and_then_under_its_name() {
    let (sample, from) = signed().await;
    let digest = &sample.root().digest;
    let taken = |path: &str| {
        format!(
            "{{on: PUT /a/manifests/{path}, nth: all, refuse: {{status: 201, headers: {{Location: /x, Docker-Content-Digest: {digest}}}}}}}"
        )
    };
    let faulty = Faulty::new(&format!("{}, {}", taken(&digest.to_string()), taken("v1")));
    let to: Arc<dyn Store> = Arc::new(faulty.repository(&registry::Options::default()));
    let root = selected(&from, &["linux/amd64", "linux/arm64"], false).await.to_root(names(&["v1"]));
    let done = copy::copy_roots(&[from], vec![root], &to, &Options::default()).await.unwrap();
    assert_eq!((&done.names[0].to, done.names[0].outcome), (digest, "new"));
    let seen = faulty.faults.seen();
    let sent = seen.iter().filter(|seen| seen.method == "PUT").map(|seen| seen.uri.to_string());
    let of_index: Vec<String> = sent.filter(|uri| uri.contains(&digest.to_string()) || uri.ends_with("/v1")).collect();
    assert_eq!(of_index.len(), 2, "{of_index:?}");
    assert!(of_index[0].ends_with(&digest.to_string()) && of_index[1].ends_with("/v1"), "{of_index:?}");
}
