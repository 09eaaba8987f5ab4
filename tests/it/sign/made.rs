//! Anything as signatures of an artifact in a layout: right ones, and ones that were made to deceive.

use std::{collections::BTreeMap, sync::Arc};

use artifact::{
    oci::{Descriptor, Digest, Manifest, Tag, media_type},
    sign::{BUNDLE, PrivateKey},
    store::Store,
    stores::Layout,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{vector, world};
use crate::support::{
    program::{Ran, World},
    samples::{Sample, deliver},
};

/// The media type of legacy payloads, and the annotation with the signature.
pub(super) const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
pub(super) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// A world with a layout `layout`, whose artifact `v1` has beside it what is put there.
pub(super) struct Made {
    pub(super) world: World,
    pub(super) store: Arc<dyn Store>,
    pub(super) subject: Descriptor,
}

impl Made {
    pub(super) async fn new() -> Self {
        let world = world();
        let store: Arc<dyn Store> = Arc::new(Layout::create(world.path().join("layout")).unwrap());
        let sample = Sample::of(&[b"content"]);
        deliver(&store, &sample, &["v1"]).await.unwrap();
        Self { world, store, subject: sample.root().clone() }
    }

    /// A bundle, as its JSON.
    pub(super) async fn bundle(&self, bundle: &Value) -> Descriptor {
        self.bundle_bytes(bundle.to_string().into()).await
    }

    /// Bytes that are called a bundle.
    pub(super) async fn bundle_bytes(&self, bytes: Bytes) -> Descriptor {
        let sample = referrer(&self.subject, bytes);
        deliver(&self.store, &sample, &[]).await.unwrap();
        sample.root().clone()
    }

    /// Layers under the legacy tag, in place of those that are there.
    pub(super) async fn legacy(&self, layers: &[(Descriptor, Bytes)]) {
        let config = Bytes::from_static(br#"{"rootfs":{"type":"layers","diff_ids":[]}}"#);
        let config = (Descriptor::of(media_type::IMAGE_CONFIG, &config), config);
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.into()),
            artifact_type: None,
            config: config.0.clone(),
            layers: layers.iter().map(|(desc, _)| desc.clone()).collect(),
            subject: None,
            annotations: BTreeMap::new(),
        };
        let bytes = Bytes::from(serde_json::to_vec(&manifest).unwrap());
        let blobs = layers.iter().cloned().chain([config]).collect();
        let sample = Sample { blobs, manifests: vec![(Descriptor::of(media_type::MANIFEST, &bytes), bytes)] };
        let [tag, ..] = Tag::companions_of(&self.subject.digest);
        deliver(&self.store, &sample, &[tag.as_ref()]).await.unwrap();
    }

    /// `verify` with these flags.
    pub(super) fn verify(&self, flags: &str) -> Ran {
        self.world.run(&format!("verify oci:layout:v1 {flags}"))
    }

    /// `verify` must end with this code and not say that anything is verified, also in JSON.
    pub(super) fn fails(&self, flags: &str, code: i32) -> Ran {
        let text = self.verify(flags);
        for ran in [self.verify(&format!("{flags} --format json")), self.verify(&format!("{flags} -v")), text] {
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert_eq!(ran.code, code, "{flags}: {said}");
            assert!(!said.contains("verified"), "{flags}: {said}");
        }
        self.verify(flags)
    }

    pub(super) fn holds(&self, flags: &str) -> String {
        self.world.ok(&format!("verify oci:layout:v1 {flags}"))
    }
}

/// A manifest with this bundle about this artifact.
pub(super) fn referrer(subject: &Descriptor, bundle: Bytes) -> Sample {
    let layer = Descriptor::of(BUNDLE, &bundle);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.into()),
        artifact_type: Some(BUNDLE.into()),
        config: Descriptor::empty(),
        layers: vec![layer.clone()],
        subject: Some(subject.bare()),
        annotations: BTreeMap::new(),
    };
    let bytes = Bytes::from(serde_json::to_vec(&manifest).unwrap());
    let blobs = vec![(Descriptor::empty(), Bytes::from_static(b"{}")), (layer, bundle)];
    Sample { blobs, manifests: vec![(Descriptor::of(media_type::MANIFEST, &bytes), bytes)] }
}

/// A private key of the vectors.
pub(super) fn key(name: &str) -> PrivateKey {
    PrivateKey::read(&vector("keys").join(name), &|| Ok(zeroize::Zeroizing::new("test-vectors".to_owned()))).unwrap()
}

/// A statement that this is signed.
pub(super) fn statement(digest: &Digest) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": digest.hex()}, "annotations": {}}],
        "predicateType": artifact::sign::SIGNATURE,
        "predicate": {},
    })
}

/// What is signed of a payload (DSSE 1.0).
pub(super) fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// A bundle of this payload with this signature.
pub(super) fn bundle_with(payload: &[u8], payload_type: &str, signature: &[u8]) -> Value {
    json!({
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {}},
        "dsseEnvelope": {
            "payload": STANDARD.encode(payload),
            "payloadType": payload_type,
            "signatures": [{"sig": STANDARD.encode(signature)}],
        },
    })
}

/// A bundle of this payload, signed.
pub(super) fn bundle(key: &PrivateKey, payload: &[u8]) -> Value {
    const IN_TOTO: &str = "application/vnd.in-toto+json";
    let signature = key.sign(&pre_authentication(IN_TOTO, payload)).unwrap();
    bundle_with(payload, IN_TOTO, &signature)
}

/// A payload of a legacy signature.
pub(super) fn payload(digest: &Digest) -> Value {
    json!({
        "critical": {
            "identity": {"docker-reference": "registry.example/app"},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        },
        "optional": null,
    })
}

/// A layer with this payload, signed.
pub(super) fn legacy(key: &PrivateKey, payload: &[u8]) -> (Descriptor, Bytes) {
    legacy_with(payload, &key.sign(payload).unwrap())
}

pub(super) fn legacy_with(payload: &[u8], signature: &[u8]) -> (Descriptor, Bytes) {
    let mut desc = Descriptor::of(SIMPLE_SIGNING, payload);
    desc.annotations.insert(SIGNATURE.to_owned(), STANDARD.encode(signature));
    (desc, Bytes::copy_from_slice(payload))
}
