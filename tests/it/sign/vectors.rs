//! Every check of the signing vectors gives what is expected of it.

use std::collections::BTreeMap;

use artifact::{
    oci::Descriptor,
    sign::{
        Evidence, PublicKey, Requirement, SignedName, Signer, Verdict, judge,
        keyless::{Identity, Pattern, TrustedRoot},
    },
    store::ReadStore,
    stores::Layout,
};
use serde::Deserialize;

use super::vector;

#[derive(Deserialize)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) layout: String,
    pub(super) subject: String,
    pub(super) checks: Vec<Check>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Check {
    pub(super) profile: String,
    key: Option<String>,
    keys: Option<Vec<String>>,
    min: Option<usize>,
    trusted_root: Option<String>,
    identity: Option<String>,
    issuer: Option<String>,
    predicate_type: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    identity_rule: Option<String>,
    repository: Option<String>,
    subject: Option<String>,
    pub(super) expect: String,
}

impl Check {
    /// What the check demands.
    pub(super) fn requirement(&self) -> Requirement {
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
        requirement.log = self.profile == "key+tlog";
        requirement.trusted_root = self.trusted_root.as_ref().map(|path| TrustedRoot::read(&vector(path)).unwrap());
        requirement.name = match (self.identity_rule.as_deref(), &self.repository) {
            (Some("repository"), Some(name)) => SignedName::Repository(name.clone()),
            (Some("exact"), Some(name)) => SignedName::Exact(name.clone()),
            _ => SignedName::Any,
        };
        requirement
    }

    /// The same as flags of `verify`, run where the vectors are `vectors`.
    pub(super) fn flags(&self) -> String {
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
    pub(super) fn has_flags(&self) -> bool {
        self.identity_rule.is_none()
    }

    pub(super) fn subject<'c>(&'c self, case: &'c Case) -> &'c str {
        self.subject.as_ref().unwrap_or(&case.subject)
    }
}

pub(super) fn cases() -> Vec<Case> {
    serde_json::from_slice(&std::fs::read(vector("cases.json")).unwrap()).unwrap()
}

/// What a check gives.
pub(super) async fn outcome(store: &dyn ReadStore, subject: &Descriptor, requirement: &Requirement) -> &'static str {
    let evidence = Evidence::read(store, subject).await;
    let verification = judge(&evidence, requirement);
    match verification.verdict {
        Verdict::Verified => "verified",
        Verdict::Rejected => "rejected",
        Verdict::Unsigned => "unsigned",
        Verdict::Undecided => "error",
    }
}

#[tokio::test]
async fn every_layout_gives_the_expected_answer_to_every_check() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for case in cases() {
        let layout = Layout::open(vector(&case.layout)).unwrap();
        for (at, check) in case.checks.iter().enumerate() {
            let subject = layout.resolve(&check.subject(&case).parse().unwrap()).await.unwrap();
            let found = outcome(&layout, &subject, &check.requirement()).await;
            checked += 1;
            if check.expect != "any" && found != check.expect {
                wrong.push(format!("{} check {at} ({}): {found}, not {}", case.name, check.profile, check.expect));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {checked} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(checked, 129);
}
