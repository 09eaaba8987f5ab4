//! Small artifacts: those of the exam, and others.

pub(crate) use artifact::exam::samples::*;
use artifact::oci::{Descriptor, Digest, media_type};

/// Text of a small vocabulary in an order without a short period, the same for the same seed: it compresses, but not to
/// nothing.
pub(crate) fn words(len: usize, seed: u64) -> Vec<u8> {
    let (mut state, mut text) = (seed, Vec::with_capacity(len + 16));
    while text.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.extend_from_slice(format!("word{} ", (state >> 33) % 5000).as_bytes());
    }
    text.truncate(len);
    text
}

/// An image layout with one small runnable image, tagged `v1`.
pub(crate) fn image(dir: &std::path::Path) {
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |media_type: &str, bytes: &[u8]| {
        std::fs::write(blobs.join(Digest::of(bytes).hex()), bytes).unwrap();
        serde_json::to_value(Descriptor::of(media_type, bytes)).unwrap()
    };
    let layer = [0; 1024];
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer)]},
    });
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::MANIFEST,
        "config": put(media_type::IMAGE_CONFIG, config.to_string().as_bytes()),
        "layers": [put(media_type::LAYER_TAR, &layer)],
    });
    let mut root = put(media_type::MANIFEST, manifest.to_string().as_bytes());
    root["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": "v1"});
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [root]});
    std::fs::write(dir.join("index.json"), index.to_string()).unwrap();
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}
