//! What an artifact is, as one value.

use artifact::{
    describe::describe,
    oci::{Descriptor, Index, Tag, media_type},
    types::Catalog,
};
use bytes::Bytes;
use serde_json::json;

use crate::{
    stores::memory,
    support::{
        examples::root,
        samples::{Sample, TYPE, deliver, named},
        typed::{packed, plan_with},
    },
};

#[tokio::test]
async fn a_packed_artifact_is_described_in_the_words_of_its_type() {
    let plan = plan_with(&root().join("examples/chart"), &Default::default()).unwrap();
    let packed = packed(&plan).await;
    let description = describe(&packed, packed.root(), &Catalog::builtin().unwrap()).await.unwrap();
    let json = serde_json::to_value(&description).unwrap();
    assert_eq!(
        (json["type"].as_str(), json["digest"].as_str()),
        (Some("helm-chart"), Some(&*packed.root().digest.to_string()))
    );
    assert_eq!(json["why"], "config `application/vnd.cncf.helm.config.v1+json`");
    assert_eq!(json["artifactType"], "application/vnd.cncf.helm.config.v1+json");
    assert_eq!(json["layers"][0]["role"], "chart");
    assert_eq!(json["config"]["mediaType"], "application/vnd.cncf.helm.config.v1+json");
    for empty in ["children", "referrers", "companions", "warnings"] {
        assert_eq!(json[empty], json!([]), "{empty}");
    }
    // Somebody else's manifest, of a shape that the type does not have.
    let parsed = artifact::oci::Parsed::read(&packed.root().media_type, packed.manifest()).unwrap();
    let artifact::oci::Parsed::Manifest(mut manifest) = parsed else { panic!() };
    manifest.layers.clear();
    let odd = artifact::describe::Description::of(
        packed.root(),
        &artifact::oci::Parsed::Manifest(manifest),
        &Catalog::builtin().unwrap(),
    );
    assert!(odd.warnings[0].contains("layers of the role `chart`: expected 1, found 0"), "{:?}", odd.warnings);
}

#[tokio::test]
async fn an_index_is_described_with_its_members_and_what_there_is_about_it() {
    let members = ["linux/amd64", "linux/arm64"].map(|platform| Sample::of(&[platform.as_bytes()]));
    let platforms = ["linux/amd64", "linux/arm64"].map(|platform| Some(Box::new(platform.parse().unwrap())));
    let listed =
        members.iter().zip(platforms).map(|(member, platform)| Descriptor { platform, ..member.root().clone() });
    let bytes = Bytes::from(serde_json::to_vec(&Index::of(listed.collect())).unwrap());
    let mut all = Sample::index(&members);
    *all.manifests.last_mut().unwrap() = (Descriptor::of(media_type::INDEX, &bytes), bytes);
    let store = memory().store;
    deliver(&store, &all, &["v1"]).await.unwrap();
    let about = Sample::about(all.root(), b"signature");
    deliver(&store, &about, &[]).await.unwrap();
    let kept = Sample::of(&[b"kept by cosign"]);
    let [signature, ..] = Tag::companions_of(&all.root().digest);
    deliver(&store, &kept, &[&signature]).await.unwrap();
    let root = store.resolve(&named("v1")).await.unwrap();
    let description = describe(store.as_ref(), &root, &Catalog::builtin().unwrap()).await.unwrap();
    let platforms: Vec<String> =
        description.children.iter().map(|child| child.descriptor.platform.as_ref().unwrap().to_string()).collect();
    assert_eq!(
        (platforms, description.config, description.layers.len()),
        (vec!["linux/amd64".into(), "linux/arm64".into()], None, 0)
    );
    let [referrer] = &description.referrers[..] else { panic!("{:?}", description.referrers) };
    assert_eq!(
        (&referrer.descriptor.digest, referrer.descriptor.artifact_type.as_deref()),
        (&about.root().digest, Some(TYPE))
    );
    let [companion] = &description.companions[..] else { panic!("{:?}", description.companions) };
    assert_eq!((&companion.tag, &companion.descriptor.digest), (&signature, &kept.root().digest));
}
