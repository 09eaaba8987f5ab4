//! Keys, signatures and attestations.

mod attest;
mod certificates;
mod command;
mod conformance;
mod cosign_save;
mod exits;
mod faults;
mod file_hashes;
mod files;
mod flipped;
mod hostile;
mod keygen;
mod keys;
mod made;
mod push;
mod secrets;
mod served;
mod sigstore_crate;
mod together;
mod vectors;

use serde_json::Value;

use crate::support::{program::World, signing::vector};

/// A private key of the vectors that is not encrypted, as [`world`] has it, and its public half.
const KEY: &str = "vectors/keys/p256.pkcs8.pem";
const PUB: &str = "vectors/keys/p256.pub";
/// Another pair.
const OTHER_KEY: &str = "vectors/keys/p256.sec1.pem";
const OTHER_PUB: &str = "vectors/keys/p256-from-sec1.pub";

/// A directory in which the vectors are `vectors`.
fn world() -> World {
    let world = World::new();
    std::os::unix::fs::symlink(vector(""), world.path().join("vectors")).unwrap();
    world
}

/// The JSON that a line prints, which must succeed.
fn json(world: &World, line: &str) -> Value {
    serde_json::from_str(&world.ok(&format!("{line} --format json"))).unwrap()
}

/// The digest of what was pushed there now: the sample of every world.
fn pushed(world: &World, location: &str) -> String {
    world.ok(&format!("push talk {location} -q")).trim().to_owned()
}

/// The tag of the legacy signatures of this digest.
fn sig(digest: &str) -> String {
    format!("{}.sig", digest.trim().replace(':', "-"))
}

/// The layers under the legacy tag; none where there is no such tag.
fn legacy_layers(world: &World, place: &str, digest: &str) -> Vec<Value> {
    let ran = world.run(&format!("manifest get {place}:{}", sig(digest)));
    if ran.code == 4 {
        return Vec::new();
    }
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let manifest: Value = serde_json::from_str(&ran.stdout).unwrap();
    manifest["layers"].as_array().unwrap().clone()
}

/// The bundles that refer to this digest.
fn bundles(world: &World, place: &str, digest: &str) -> Vec<Value> {
    let of_bundles = "--artifact-type application/vnd.dev.sigstore.bundle.v0.3+json";
    let tree = json(world, &format!("tree {place}@{digest} {of_bundles}"));
    tree["referrers"].as_array().unwrap().clone()
}
