//! Every kind of damage is found, and a healthy store gives no findings.

mod bits;
mod entries;
mod meanwhile;

use std::{fs, path::Path, sync::Arc};

use artifact::{
    check::{Finding, Options, Rules, Severity, What, check, check_with},
    copy,
    oci::{Descriptor, Digest, Parsed, media_type},
    store::{ReadStore, Store},
    stores::{Archive, Layout, Memory},
};

use crate::{
    stores::{archive, layout, memory},
    support::{
        samples::{Sample, deliver, named, noise},
        watched::{Fault, Watched},
        writing::{publish, put},
    },
};

/// An index of two images that share a layer, and a signature on it.
fn samples() -> (Sample, Sample) {
    let shared = noise(200_000, 1);
    let index = Sample::index(&[Sample::of(&[b"one", &shared]), Sample::of(&[b"two", &shared])]);
    let signature = Sample::about(index.root(), b"signature");
    (index, signature)
}

async fn fill(store: &Arc<dyn Store>) {
    let (index, signature) = samples();
    deliver(store, &index, &["v1"]).await.unwrap();
    deliver(store, &signature, &[]).await.unwrap();
}

async fn found(layout: &Path) -> Vec<Finding> {
    let store: Arc<dyn ReadStore> = Arc::new(Layout::open(layout).unwrap());
    let findings = check(&store).await.unwrap();
    assert_eq!(findings, check(&store).await.unwrap(), "the same again");
    findings
}

fn words(findings: &[Finding]) -> Vec<(What, String)> {
    findings.iter().map(|finding| (finding.what, finding.place.clone())).collect()
}

fn blob(layout: &Path, digest: &Digest) -> std::path::PathBuf {
    layout.join("blobs/sha256").join(digest.hex())
}

/// What is found in a layout after it was spoiled in one way.
async fn after(spoil: impl FnOnce(&Path)) -> Vec<Finding> {
    let dir = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(Layout::create(dir.path()).unwrap());
    fill(&store).await;
    spoil(dir.path());
    found(dir.path()).await
}

#[tokio::test]
async fn a_healthy_store_gives_no_findings() {
    for candidate in [memory(), layout(), archive()] {
        fill(&candidate.store).await;
        assert_eq!(check(&candidate.again()).await.unwrap(), [], "{}", candidate.store);
    }
}

#[tokio::test]
async fn a_single_flipped_bit_is_found_wherever_it_is() {
    let (index, signature) = samples();
    for (desc, _) in index.all().chain(signature.all()) {
        let findings = after(|path| {
            let mut bytes = fs::read(blob(path, &desc.digest)).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(blob(path, &desc.digest), bytes).unwrap();
        })
        .await;
        let place = desc.digest.to_string();
        assert!(words(&findings).contains(&(What::WrongDigest, place)), "{findings:?}");
        assert_eq!(findings[0].severity, Severity::Error);
    }
}

#[tokio::test]
async fn what_is_missing_or_cut_is_found_and_named_with_what_points_at_it() {
    let (index, _) = samples();
    let layer = &index.layer().0.digest;
    let findings = after(|path| fs::remove_file(blob(path, layer)).unwrap()).await;
    assert_eq!(words(&findings), [(What::Missing, layer.to_string())]);
    assert!(findings[0].message.contains("manifest sha256:"), "{findings:?}");
    let findings = after(|path| fs::write(blob(path, layer), b"short").unwrap()).await;
    assert_eq!(words(&findings), [(What::WrongSize, layer.to_string())]);
    let root = &index.root().digest;
    let findings = after(|path| fs::remove_file(blob(path, root)).unwrap()).await;
    assert_eq!(words(&findings)[0], (What::Missing, root.to_string()));
    assert!(words(&findings).iter().any(|(what, _)| *what == What::AbsentSubject));
    assert!(findings.iter().any(|finding| finding.what == What::Unreferenced));
}

/// An artifact, and another one whose layer is a copy of its manifest.
fn original_and_backup() -> [Sample; 2] {
    let original = Sample::of(&[b"original"]);
    let (desc, bytes) = &original.manifests[0];
    let copy = Descriptor { media_type: "application/json".into(), ..desc.bare() };
    [original.clone(), Sample::with_layers(vec![(copy, bytes.clone())], None)]
}

#[tokio::test]
async fn what_is_missing_below_a_manifest_is_found_also_when_the_manifest_was_met_as_a_layer_before() {
    let [original, backup] = original_and_backup();
    // What is met first follows from the order of the names.
    for (first, second) in [("a", "b"), ("b", "a")] {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(Layout::create(dir.path()).unwrap());
        deliver(&store, &original, &[first]).await.unwrap();
        deliver(&store, &backup, &[second]).await.unwrap();
        assert_eq!(found(dir.path()).await, [], "and nothing that is needed is said to be unreferenced");
        let layer = &original.layer().0.digest;
        fs::remove_file(blob(dir.path(), layer)).unwrap();
        assert_eq!(words(&found(dir.path()).await), [(What::Missing, layer.to_string())]);
        let mute: Arc<dyn ReadStore> = Watched::new(store, Fault::NoInventory);
        assert_eq!(words(&check(&mute).await.unwrap()), [(What::Missing, layer.to_string())]);
    }
}

#[tokio::test]
async fn a_layer_that_is_elsewhere_by_its_licence_may_be_missing_and_one_that_has_other_sources_may_not() {
    let foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar";
    for (media_type, urls, what) in [
        (foreign, vec![], What::AbsentLayer),
        (foreign, vec!["https://a.test/x".to_owned()], What::AbsentLayer),
        (media_type::LAYER_TAR, vec!["https://a.test/x".to_owned()], What::Missing),
    ] {
        let layer = Descriptor { urls, ..Descriptor::of(media_type, b"layer") };
        let digest = layer.digest.clone();
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(Layout::create(dir.path()).unwrap());
        deliver(&store, &Sample::with_layers(vec![(layer, "layer".into())], None), &["v1"]).await.unwrap();
        fs::remove_file(blob(dir.path(), &digest)).unwrap();
        assert_eq!(words(&found(dir.path()).await), [(what, digest.to_string())]);
        let mute: Arc<dyn ReadStore> = Watched::new(Arc::clone(&store), Fault::NoInventory);
        assert_eq!(words(&check(&mute).await.unwrap()), [(what, digest.to_string())]);
        let to: Arc<dyn Store> = Arc::new(Memory::default());
        let from: Arc<dyn ReadStore> = store;
        let copied = copy::between(&from, &named("v1"), &to, &copy::Options::default()).await;
        assert_eq!(copied.is_ok(), what == What::AbsentLayer, "{copied:?}");
    }
}

#[tokio::test]
async fn links_leftovers_and_foreign_files_are_found() {
    let (index, _) = samples();
    let layer = &index.layer().0.digest;
    let findings = after(|path| {
        fs::rename(blob(path, layer), path.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(path.join("elsewhere"), blob(path, layer)).unwrap();
        fs::write(path.join("blobs/sha256/.artifact-tmp-1"), b"half").unwrap();
        fs::write(path.join("blobs/sha256/README"), b"hello").unwrap();
    })
    .await;
    let expected = [
        (What::Missing, layer.to_string()),
        (What::Leftover, "blobs/sha256/.artifact-tmp-1".into()),
        (What::Stray, format!("blobs/sha256/{}", layer.hex())),
        (What::Stray, "blobs/sha256/README".into()),
        (What::Stray, "elsewhere".into()),
    ];
    assert_eq!(words(&findings), expected);
}

#[tokio::test]
async fn content_that_nothing_leads_to_is_noted_and_still_verified() {
    let digest = Digest::of(b"orphan");
    let findings = after(|path| fs::write(blob(path, &digest), b"orphan").unwrap()).await;
    assert_eq!(words(&findings), [(What::Unreferenced, digest.to_string())]);
    assert_eq!(findings[0].severity, Severity::Note);
    let findings = after(|path| fs::write(blob(path, &digest), b"orphaN").unwrap()).await;
    assert_eq!(words(&findings)[0], (What::WrongDigest, digest.to_string()));
}

#[tokio::test]
async fn a_referrer_that_is_not_listed_is_a_warning() {
    let (index, signature) = samples();
    let findings = after(|path| {
        let list = fs::read_to_string(path.join("index.json")).unwrap();
        let mut list: serde_json::Value = serde_json::from_str(&list).unwrap();
        let root = index.root().digest.to_string();
        list["manifests"].as_array_mut().unwrap().retain(|entry| entry["digest"] == root.as_str());
        fs::write(path.join("index.json"), list.to_string()).unwrap();
    })
    .await;
    assert_eq!(words(&findings)[0], (What::UnlistedReferrer, signature.root().digest.to_string()));
    assert_eq!(findings[0].severity, Severity::Warning);
}

#[tokio::test]
async fn a_list_that_is_none_or_names_two_manifests_alike_is_found() {
    let findings = after(|path| fs::write(path.join("index.json"), b"[]").unwrap()).await;
    assert_eq!(words(&findings), [(What::MalformedList, "index.json".into())]);
    let (index, _) = samples();
    let findings = after(|path| {
        let list = fs::read_to_string(path.join("index.json")).unwrap();
        let mut list: serde_json::Value = serde_json::from_str(&list).unwrap();
        let mut second = serde_json::to_value(&index.manifests[0].0).unwrap();
        second["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": "v1"});
        list["manifests"].as_array_mut().unwrap().push(second);
        fs::write(path.join("index.json"), list.to_string()).unwrap();
    })
    .await;
    assert_eq!(words(&findings), [(What::DuplicateTag, "v1".into())]);
}

#[tokio::test]
async fn a_manifest_that_cannot_be_trusted_is_found() {
    let bytes =
        br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"layers":[]}"#;
    let desc = Descriptor::of(artifact::oci::media_type::INDEX, bytes);
    let findings = after(|path| {
        fs::write(blob(path, &desc.digest), bytes).unwrap();
        let list = fs::read_to_string(path.join("index.json")).unwrap();
        let mut list: serde_json::Value = serde_json::from_str(&list).unwrap();
        list["manifests"].as_array_mut().unwrap().push(serde_json::to_value(&desc).unwrap());
        fs::write(path.join("index.json"), list.to_string()).unwrap();
    })
    .await;
    assert_eq!(words(&findings), [(What::MalformedManifest, desc.digest.to_string())]);
}

/// Some readers take it, and fetch nothing.
#[tokio::test]
async fn other_content_in_a_descriptor_than_its_digest_says_is_found() {
    for (of_config, of_layer, wrong) in
        [("e30=", "", None), ("W10=", "", Some(0)), ("e30", "", Some(0)), ("", "aGVsbG8=", Some(1))]
    {
        let candidate = layout();
        let mut descs = Vec::new();
        for (bytes, data) in [(&b"{}"[..], of_config), (b"hellO", of_layer)] {
            let desc = Descriptor::of("a/b", bytes);
            put(candidate.store.as_ref(), &desc, &bytes::Bytes::from_static(bytes)).await.unwrap();
            descs.push(Descriptor { data: Some(data.to_owned()).filter(|data| !data.is_empty()), ..desc });
        }
        let manifest = serde_json::json!({ "schemaVersion": 2, "config": descs[0], "layers": [descs[1]] });
        let bytes = bytes::Bytes::from(manifest.to_string());
        let root = Descriptor::of(media_type::MANIFEST, &bytes);
        publish(candidate.store.as_ref(), &root, &bytes, &["v1"]).await.unwrap();
        let findings = check(&candidate.again()).await.unwrap();
        let wanted: Vec<_> = wrong.iter().map(|at: &usize| (What::WrongData, descs[*at].digest.to_string())).collect();
        assert_eq!(words(&findings), wanted, "{findings:?}");
        assert!(findings.iter().all(|finding| finding.severity == Severity::Error));
    }
}

#[tokio::test]
async fn damage_in_an_archive_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tar");
    let store: Arc<dyn Store> = Arc::new(Archive::create(&path).unwrap());
    fill(&store).await;
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 5000;
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let store: Arc<dyn ReadStore> = Arc::new(Archive::open(&path).unwrap());
    let layer = samples().0.layer().0.digest.to_string();
    assert_eq!(words(&check(&store).await.unwrap()), [(What::WrongDigest, layer)]);
}

#[tokio::test]
async fn of_a_store_without_inventory_all_that_its_tags_lead_to_is_checked() {
    let (index, signature) = samples();
    for desc in [&index.layer().0, index.root(), signature.root(), &signature.layer().0] {
        let candidate = memory();
        fill(&candidate.store).await;
        let mute = |fault| Watched::new(Arc::clone(&candidate.store), fault) as Arc<dyn ReadStore>;
        assert_eq!(check(&mute(Fault::NoInventory)).await.unwrap(), []);
        put(candidate.store.as_ref(), &Descriptor::of("a/b", b"x"), &bytes::Bytes::from_static(b"x")).await.unwrap();
        let flipping = Watched::new(mute_store(&candidate), Fault::Flipped(desc.digest.clone(), 9.into()));
        let findings = check(&(flipping as Arc<dyn ReadStore>)).await.unwrap();
        assert_eq!(words(&findings), [(What::WrongDigest, desc.digest.to_string())]);
    }
}

fn mute_store(candidate: &crate::stores::Candidate) -> Arc<dyn Store> {
    Watched::new(Arc::clone(&candidate.store), Fault::NoInventory)
}

#[tokio::test]
async fn rules_of_types_are_asked_about_every_manifest() {
    struct NoIndexes;
    impl Rules for NoIndexes {
        fn broken(&self, _: &Descriptor, manifest: &Parsed, _: &[u8]) -> Vec<String> {
            matches!(manifest, Parsed::Index(_)).then(|| "an index".to_owned()).into_iter().collect()
        }
    }
    let candidate = memory();
    fill(&candidate.store).await;
    let options = Options { rules: Some(Arc::new(NoIndexes)), ..Options::default() };
    let findings = check_with(&candidate.again(), &options).await.unwrap();
    assert_eq!(words(&findings), [(What::TypeRule, samples().0.root().digest.to_string())]);
}
