//! The signing vectors: what is in them, and what is expected of it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use artifact::{
    oci::{Descriptor, Parsed, Tag},
    sign::{
        Evidence, LogEntry, PublicKey, Requirement, SignedName, Signer, Verdict, judge,
        keyless::{Identity, Pattern, TrustedRoot},
    },
    store::{self, Item, ReadStore},
    stores::Layout,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::{program::World, samples::named};

/// The password of the private keys.
pub(crate) const PASSWORD: &str = "test-vectors";

/// A file of the signing vectors.
pub(crate) fn vector(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/signing-vectors")).join(path)
}

#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) layout: String,
    pub(crate) subject: String,
    pub(crate) checks: Vec<Check>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Check {
    pub(crate) profile: String,
    key: Option<String>,
    keys: Option<Vec<String>>,
    min: Option<usize>,
    pub(crate) trusted_root: Option<String>,
    pub(crate) identity: Option<String>,
    pub(crate) issuer: Option<String>,
    predicate_type: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    identity_rule: Option<String>,
    repository: Option<String>,
    subject: Option<String>,
    pub(crate) expect: String,
}

impl Check {
    /// What the check demands.
    pub(crate) fn requirement(&self) -> Requirement {
        let key = |path: &String| Signer::Key(PublicKey::read(&vector(path)).unwrap());
        let mut signers: Vec<Signer> = match &self.keys {
            Some(keys) => keys.iter().map(key).collect(),
            None => self.key.iter().map(key).collect(),
        };
        if let (Some(identity), Some(issuer)) = (&self.identity, &self.issuer) {
            let (identity, issuer) = (Pattern::Exact(identity.clone()), Pattern::Exact(issuer.clone()));
            signers.push(Signer::Identity(Identity { identity, issuer }));
        }
        let mut requirement = match &self.predicate_type {
            Some(wanted) => Requirement::attestation(wanted, signers),
            None => Requirement::signature(signers),
        };
        requirement.min = self.min.unwrap_or(1);
        requirement.annotations = self.annotations.clone();
        requirement.timestamp = self.profile == "key+time";
        requirement.log = if self.profile == "key+tlog" { LogEntry::Demanded } else { LogEntry::default() };
        requirement.trusted_root = self.trusted_root.as_ref().map(|path| TrustedRoot::read(&vector(path)).unwrap());
        requirement.name = match (self.identity_rule.as_deref(), &self.repository) {
            (Some("repository"), Some(name)) => SignedName::Repository(name.clone()),
            (Some("exact"), Some(name)) => SignedName::Exact(name.clone()),
            _ => SignedName::Any,
        };
        requirement
    }

    /// The same as flags of `verify`, run where the vectors are `vectors`.
    pub(crate) fn flags(&self) -> String {
        let keys = self.keys.iter().flatten().chain(&self.key).map(|key| format!("--key vectors/{key}"));
        let mut flags: Vec<String> = keys.collect();
        flags.extend(self.min.map(|min| format!("--min {min}")));
        flags.extend(self.trusted_root.as_ref().map(|path| format!("--trusted-root vectors/{path}")));
        flags.extend(self.identity.as_ref().map(|text| format!("--certificate-identity {text}")));
        flags.extend(self.issuer.as_ref().map(|text| format!("--certificate-oidc-issuer {text}")));
        flags.extend(self.predicate_type.as_ref().map(|text| format!("--type {text}")));
        flags.extend(self.annotations.iter().map(|(key, value)| format!("-a {key}={value}")));
        flags.extend((self.profile == "key+time").then(|| "--use-signed-timestamps".to_owned()));
        flags.extend((self.profile == "key+tlog").then(|| "--require-tlog".to_owned()));
        flags.join(" ")
    }

    /// True if there are flags for all of it.
    pub(crate) fn has_flags(&self) -> bool {
        self.identity_rule.is_none()
    }

    pub(crate) fn subject<'c>(&'c self, case: &'c Case) -> &'c str {
        self.subject.as_ref().unwrap_or(&case.subject)
    }
}

pub(crate) fn cases() -> Vec<Case> {
    serde_json::from_slice(&std::fs::read(vector("cases.json")).unwrap()).unwrap()
}

/// What a check gives.
pub(crate) async fn outcome(store: &dyn ReadStore, subject: &Descriptor, requirement: &Requirement) -> &'static str {
    let evidence = Evidence::read(store, subject).await;
    let verification = judge(&evidence, requirement);
    match verification.verdict {
        Verdict::Verified => "verified",
        Verdict::Rejected => "rejected",
        Verdict::Unsigned => "unsigned",
        Verdict::Undecided => "error",
    }
}

/// One pair of keys of every algorithm.
pub(crate) const KEYS: [&str; 5] = ["p256", "p384", "p521", "rsa2048", "ed25519"];

/// A line of the program that knows the password of all keys.
pub(crate) fn signing(world: &World, line: &str) -> Command {
    let mut command = world.command(line);
    command.env("COSIGN_PASSWORD", PASSWORD);
    command
}

/// Copies a layout of the vectors into a directory of its own.
pub(crate) fn layout_of(case: &str, to: &Path) {
    copy_of(&vector(&format!("layouts/{case}")), to);
}

/// Copies a layout file by file.
pub(crate) fn copy_of(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("blobs/sha256")).unwrap();
    for dir in ["", "blobs/sha256"] {
        for entry in std::fs::read_dir(from.join(dir)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), to.join(dir).join(entry.file_name())).unwrap();
            }
        }
    }
}

/// The payload and the signature of the only legacy signature of `v1` in this layout.
pub(crate) async fn legacy(layout: &Path) -> (Vec<u8>, Vec<u8>) {
    let store = Layout::open(layout).unwrap();
    let subject = store.resolve(&named("v1")).await.unwrap();
    let [tag, _, _] = Tag::companions_of(&subject.digest);
    let (desc, bytes) = store::read_named(&store, &tag.into()).await.unwrap();
    let Parsed::Manifest(manifest) = Parsed::read(&desc.media_type, &bytes).unwrap() else { panic!("{desc:?}") };
    let [layer] = manifest.layers.as_slice() else { panic!("{manifest:?}") };
    let payload = store::read(&store, &Item::blob(layer.bare()), 1 << 20).await.unwrap();
    let signature = STANDARD.decode(&layer.annotations["dev.cosignproject.cosign/signature"]).unwrap();
    (payload.to_vec(), signature)
}
