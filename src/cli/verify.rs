//! `artifact verify`: whether artifacts and files are signed by whom they should be.

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use artifact::{
    Error, Result,
    location::{Location, ReadLocation, name_in},
    oci::{Descriptor, Digest},
    sign::{
        self, Check, Evidence, FileHashes, Kind, LogEntry, PublicKey, Requirement, SignedBy, Signer, Verdict,
        Verification, Verified, attestation,
        keyless::{Identity, Pattern, TrustedRoot},
    },
};
use serde_json::{Map, Value, json};

use super::{
    cosign::VerifyingFlags,
    data::to_file,
    keys::KeySource,
    pairs::{distinct, pair},
    report::{Format, Report, about},
    session::{RegistryArgs, exact_in},
    several::{Failure, add_failures, tell_failures},
    sign::{beside, manifests_of, signature_repository, word},
    text::escape,
};

/// The age from which a trusted root is worth a word.
const OLD: Duration = Duration::from_secs(180 * 24 * 60 * 60);

/// Verify signatures and attestations of artifacts or files, offline.
///
/// Sigstore bundles and cosign's legacy tags are both read. A signature by a key needs nothing else: no log, no timestamp.
/// An attestation is no signature; `--type` asks for one. Exit code 3: what is there does not hold; 6: nothing of the kind
/// is there.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The artifacts; `repository:^1.2` is the newest tag in the range
    #[arg(required_unless_present = "file", value_name = "LOCATION")]
    locations: Vec<ReadLocation>,
    /// Verify this file instead, or content with this digest: `sha256:…`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["locations", "recursive", "signature_repository"])]
    file: Option<PathBuf>,
    /// The sigstore bundle of the file [default: FILE.sigstore.json]
    #[arg(long, value_name = "FILE", requires = "file")]
    bundle: Option<PathBuf>,
    /// The bare signature of the file, in base64
    #[arg(long, value_name = "FILE", requires = "file", conflicts_with = "bundle")]
    signature: Option<PathBuf>,
    #[command(flatten)]
    signers: SignerArgs,
    /// An attestation of this type: a URI, or spdxjson, cyclonedx, slsaprovenance1, vuln, openvex, custom, …
    #[arg(long = "type", value_name = "TYPE|URI")]
    type_name: Option<String>,
    /// An annotation that must be signed along, `key=value`
    #[arg(short = 'a', long = "annotation", value_name = "KEY=VALUE", value_parser = pair)]
    annotations: Vec<(String, String)>,
    /// Verify every manifest of an index, too
    #[arg(short = 'r', long)]
    recursive: bool,
    /// Look for signatures in this repository [default: COSIGN_REPOSITORY]
    #[arg(long, value_name = "REPOSITORY")]
    signature_repository: Option<Location>,
    /// Write the predicate of the first attestation that holds to this file; `-` is stdout
    #[arg(long, value_name = "FILE", requires = "type_name", conflicts_with = "statement_output")]
    predicate_output: Option<PathBuf>,
    /// Write the statement of the first attestation that holds to this file; `-` is stdout
    #[arg(long, value_name = "FILE", requires = "type_name")]
    statement_output: Option<PathBuf>,
    #[command(flatten)]
    cosign: VerifyingFlags,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl Args {
    /// What stdout gets, for those who write `--output` for `--format`.
    pub(crate) fn output(&self) -> Option<Format> {
        self.cosign.output()
    }
}

/// Who must have signed.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Signers")]
pub(crate) struct SignerArgs {
    /// A public key: a file, or `env://NAME` for the content of a variable; of several, any
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<KeySource>,
    /// How many different keys must have signed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    min: u16,
    /// Whom a certificate must name
    #[arg(long, value_name = "NAME", conflicts_with = "certificate_identity_regexp")]
    certificate_identity: Option<String>,
    /// The same as a regular expression, which must match all of the name
    #[arg(long, value_name = "REGEXP")]
    certificate_identity_regexp: Option<String>,
    /// Who must vouch for the name
    #[arg(long, value_name = "URL", conflicts_with = "certificate_oidc_issuer_regexp")]
    certificate_oidc_issuer: Option<String>,
    /// The same as a regular expression, which must match all of it
    #[arg(long, value_name = "REGEXP")]
    certificate_oidc_issuer_regexp: Option<String>,
    /// Whom to believe about certificates, logs and timestamps: a file of `cosign trusted-root create`
    #[arg(long, value_name = "FILE")]
    trusted_root: Option<PathBuf>,
    /// Demand a timestamp (RFC 3161) of an authority in the trusted root
    #[arg(long, requires = "trusted_root")]
    use_signed_timestamps: bool,
    /// Demand an entry in a transparency log of the trusted root
    #[arg(long, requires = "trusted_root")]
    require_tlog: bool,
}

impl SignerArgs {
    /// A requirement for a signature by them.
    fn requirement(&self, no_log: bool, report: &Report) -> Result<Requirement> {
        let mut signers = Vec::new();
        for source in &self.keys {
            signers.push(Signer::Key(source.public()?));
        }
        signers.extend(self.identity()?.map(Signer::Identity));
        if signers.is_empty() {
            return Err(Error::misuse(
                "who must have signed? give `--key FILE`, or `--certificate-identity` with `--certificate-oidc-issuer`",
            ));
        }
        if self.require_tlog && no_log {
            return Err(Error::misuse("`--require-tlog` demands a log entry, and `--insecure-ignore-tlog` waives it"));
        }
        let mut requirement = Requirement::signature(signers);
        requirement.min = usize::from(self.min);
        let different = requirement.different_signers();
        if requirement.min > different {
            let message = format!("`--min {}` needs as many different keys; there are {different}", self.min);
            return Err(Error::misuse(message));
        }
        requirement.timestamp = self.use_signed_timestamps;
        requirement.log = match (self.require_tlog, no_log) {
            (true, _) => LogEntry::Demanded,
            (false, true) => LogEntry::Waived,
            (false, false) => LogEntry::default(),
        };
        if let Some(path) = &self.trusted_root {
            let root = TrustedRoot::read(path)?;
            let age = root.written().and_then(|written| SystemTime::now().duration_since(written).ok());
            if let Some(age) = age.filter(|age| *age > OLD) {
                let days = age.as_secs() / (24 * 60 * 60);
                report.warn(format!(
                    "the trusted root is {days} days old: keys that were withdrawn since are still in it"
                ));
            }
            requirement.trusted_root = Some(root);
        } else if requirement.signers.iter().any(|signer| matches!(signer, Signer::Identity(_))) {
            return Err(Error::misuse("certificates need `--trusted-root FILE`, which says whom to believe"));
        }
        if no_log && requirement.signers.iter().any(|signer| matches!(signer, Signer::Identity(_))) {
            report.say("without a log, a certificate needs a timestamp, which says that it was valid then");
        }
        Ok(requirement)
    }

    fn identity(&self) -> Result<Option<Identity>> {
        let pattern = |exact: &Option<String>, regexp: &Option<String>| match (exact, regexp) {
            (Some(text), _) => Ok(Some(Pattern::Exact(text.clone()))),
            (None, Some(text)) => Pattern::regex(text).map(Some),
            (None, None) => Ok::<_, Error>(None),
        };
        let identity = pattern(&self.certificate_identity, &self.certificate_identity_regexp)?;
        let issuer = pattern(&self.certificate_oidc_issuer, &self.certificate_oidc_issuer_regexp)?;
        match (identity, issuer) {
            (Some(identity), Some(issuer)) => Ok(Some(Identity { identity, issuer })),
            (None, None) => Ok(None),
            _ => Err(Error::misuse(
                "a name counts with who vouches for it: give `--certificate-identity` and `--certificate-oidc-issuer`",
            )),
        }
    }
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let mut requirement = args.signers.requirement(args.cosign.no_log(), report)?;
    if let Some(name) = &args.type_name {
        requirement.kind = Kind::Attestation(attestation::predicate_type(name)?);
    }
    requirement.annotations = distinct(&args.annotations, "--annotation", "")?;
    if args.file.is_none() && (args.bundle.is_some() || args.signature.is_some()) {
        // A requirement of the parser does not count beside a conflict with it.
        return Err(Error::misuse("`--bundle` and `--signature` are for `--file`; those of an artifact lie beside it"));
    }
    if args.file.is_none()
        && args.locations.len() > 1
        && (args.predicate_output.is_some() || args.statement_output.is_some())
    {
        return Err(Error::misuse(
            "`--predicate-output` and `--statement-output` take the attestation of one artifact",
        ));
    }
    if args.file.is_some() {
        return verify_file(&args, &requirement, report).await;
    }
    let repository = signature_repository(args.signature_repository.as_ref(), report)?;
    if let [only] = args.locations.as_slice() {
        let Outcome { json, text, error } = verify_one(&args, only, repository.as_ref(), &requirement, report).await?;
        if !json.is_empty() {
            report.result(None, &json, &text)?;
        }
        return error.map_or(Ok(ExitCode::SUCCESS), Err);
    }
    verify_several(&args, repository.as_ref(), &requirement, report).await
}

/// Verifies one after the other; those that fail are told, and the others count.
async fn verify_several(
    args: &Args,
    repository: Option<&Location>,
    requirement: &Requirement,
    report: &Report,
) -> Result<ExitCode> {
    let (mut documents, mut lines, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for wanted in &args.locations {
        let failure = match verify_one(args, wanted, repository, requirement, report).await {
            Ok(Outcome { json, mut text, error }) => {
                documents.push(Value::from(json));
                lines.append(&mut text);
                error
            }
            Err(error) => Some(error),
        };
        failed.extend(failure.map(|error| Failure::of(wanted, error)));
    }
    let done = args.locations.len() - failed.len();
    let mut document = Map::from_iter([("artifacts".to_owned(), documents.into())]);
    add_failures(&mut document, &failed);
    report.result(None, &document, &lines)?;
    Ok(tell_failures(report, "verify", failed, done, false))
}

/// What became of one artifact.
struct Outcome {
    /// Empty if stdout got what is attested.
    json: Map<String, Value>,
    text: Vec<String>,
    /// Why it is not verified.
    error: Option<Error>,
}

async fn verify_one(
    args: &Args,
    wanted: &ReadLocation,
    repository: Option<&Location>,
    requirement: &Requirement,
    report: &Report,
) -> Result<Outcome> {
    let store = args.registry.read(&wanted.location.place, report).await?;
    let location = exact_in(store.as_ref(), wanted, report).await?;
    let root = store.resolve(&name_in(store.as_ref(), &location).await?).await?.bare();
    let beside = match repository {
        Some(other) => args.registry.read(&other.place, report).await?,
        None => store.clone(),
    };
    let subjects = match args.recursive {
        true => manifests_of(store.clone(), &root).await?,
        false => vec![root.clone()],
    };
    let (mut all, mut error) = (Vec::new(), None);
    for subject in &subjects {
        let evidence = Evidence::read(beside.as_ref(), subject).await;
        let (verification, failed) = judge(evidence, requirement, report);
        error = worse(error, failed);
        all.push(verification);
    }
    if error.is_none() && write_output(args, all.as_slice(), report).await? {
        return Ok(Outcome { json: Map::new(), text: Vec::new(), error });
    }
    let mut json = about(&location.place, &root)?;
    json.insert("location".into(), location.to_string().into());
    json.extend(document(&all));
    let reference = format!("{}@{}", location.place, root.digest);
    let text = if error.is_none() { text(&reference, &all) } else { Vec::new() };
    Ok(Outcome { json, text, error })
}

/// The error that decides the exit code.
fn worse(one: Option<Error>, other: Option<Error>) -> Option<Error> {
    match (one, other) {
        (Some(one), Some(other)) if super::rank(other.kind()) < super::rank(one.kind()) => Some(other),
        (Some(one), _) => Some(one),
        (None, other) => other,
    }
}

fn judge(evidence: Evidence, requirement: &Requirement, report: &Report) -> (Verification, Option<Error>) {
    let verification = sign::judge(&evidence, requirement);
    let held = verification.verdict == Verdict::Verified;
    for rejected in &verification.rejected {
        let line = format!("{} {} does not count: {}", word(rejected.format), rejected.place, rejected.why);
        if held { report.detail(line) } else { report.say(line) }
    }
    let error = verification.check(requirement, evidence).err();
    (verification, error)
}

async fn verify_file(args: &Args, requirement: &Requirement, report: &Report) -> Result<ExitCode> {
    let Some(file) = &args.file else { return Ok(ExitCode::SUCCESS) };
    let digest = file.to_str().filter(|text| text.starts_with("sha256:")).map(str::parse::<Digest>);
    let digest = digest.transpose().map_err(Error::into_misuse)?;
    if digest.is_some() && args.bundle.is_none() && args.signature.is_none() {
        return Err(Error::misuse("a digest has no signature beside it: give `--bundle FILE` or `--signature FILE`"));
    }
    let keys: Vec<PublicKey> = requirement.keys().cloned().collect();
    let _shown = report.shows();
    let hashes = match digest {
        Some(digest) => FileHashes::of_digest(&digest)?,
        None => FileHashes::read(file, &keys, &report.observer()).await?,
    };
    report.ended();
    let evidence = match &args.signature {
        Some(signature) => Evidence::of_file_with_bare_signature(hashes, signature).await?,
        None => Evidence::of_file(hashes, &args.bundle.clone().unwrap_or_else(|| beside(file))).await?,
    };
    let (verification, error) = judge(evidence, requirement, report);
    let all = [verification];
    if error.is_none() && write_output(args, all.as_slice(), report).await? {
        return Ok(ExitCode::SUCCESS);
    }
    let mut json = Map::from_iter([("file".to_owned(), json!(file))]);
    json.insert("digest".into(), json!(all[0].subject.digest));
    json.extend(document(&all));
    let text = if error.is_none() { text(&file.display().to_string(), &all) } else { Vec::new() };
    report.result(None, &json, &text)?;
    error.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// Writes what the first attestation that holds says. True if it is on stdout, which then holds nothing else.
async fn write_output(args: &Args, all: &[Verification], report: &Report) -> Result<bool> {
    let first = || all.iter().flat_map(|found| &found.signatures).next();
    let (path, content) = match (&args.predicate_output, &args.statement_output, first()) {
        (Some(path), _, Some(found)) => (path, attestation::predicate_of(&found.statement)?.to_vec()),
        (None, Some(path), Some(found)) => (path, found.statement.clone()),
        _ => return Ok(false),
    };
    if path.as_os_str() == "-" {
        return report.bytes(&content).map(|()| true);
    }
    to_file(artifact::blob::once(content.into()), path).await.map(|()| false)
}

/// What was found, as JSON; the verdict is that of all manifests together.
fn document(all: &[Verification]) -> Map<String, Value> {
    let worst = [Verdict::Undecided, Verdict::Rejected, Verdict::Unsigned, Verdict::Verified];
    let verdict = worst.into_iter().find(|verdict| all.iter().any(|found| found.verdict == *verdict));
    let signatures: Vec<Value> =
        all.iter().flat_map(|one| one.signatures.iter().map(|found| signature(&one.subject, found))).collect();
    let rejected: Vec<Value> = all
        .iter()
        .flat_map(|one| {
            one.rejected.iter().map(|found| {
            json!({ "subject": one.subject.digest, "format": found.format, "location": found.place, "why": found.why })
        })
        })
        .collect();
    Map::from_iter([
        ("verdict".to_owned(), json!(verdict)),
        ("signatures".to_owned(), signatures.into()),
        ("rejected".to_owned(), rejected.into()),
    ])
}

fn signature(subject: &Descriptor, found: &Verified) -> Value {
    let signer = match &found.signer {
        SignedBy::Key(fingerprint) => json!({ "key": fingerprint }),
        SignedBy::Identity { identity, issuer } => json!({ "identity": identity, "issuer": issuer }),
    };
    json!({
        "subject": subject.digest,
        "format": found.format,
        "location": found.place,
        "predicateType": found.predicate_type,
        "statementDigest": found.statement_digest,
        "signer": signer,
        "name": found.name,
        "annotations": found.annotations,
        "time": found.time,
        "checked": found.checked,
        "notChecked": found.not_checked,
    })
}

fn text(what: &str, all: &[Verification]) -> Vec<String> {
    let mut lines = vec![format!("{}: verified", escape(what))];
    for one in all {
        if all.len() > 1 {
            lines.push(format!("  {}", one.subject.digest));
        }
        for found in &one.signatures {
            lines.extend(signature_text(found));
        }
    }
    lines
}

fn signature_text(found: &Verified) -> Vec<String> {
    let signer = match &found.signer {
        SignedBy::Key(fingerprint) => format!("the key {fingerprint}"),
        SignedBy::Identity { identity, issuer } => format!("{} ({})", escape(identity), escape(issuer)),
    };
    let what = found.predicate_type.as_deref().filter(|found| *found != sign::SIGNATURE);
    let what = what.map_or_else(|| "signed".to_owned(), |found| format!("attested ({})", escape(found)));
    let names = |checks: &[Check]| checks.iter().map(|check| check.name()).collect::<Vec<_>>().join(", ");
    let mut lines = vec![
        format!("  {what} by {signer}"),
        format!("    {}: {}", word(found.format), escape(&found.place)),
        format!("    checked: {}", names(&found.checked)),
    ];
    if !found.not_checked.is_empty() {
        lines.push(format!("    there, and not asked for: {}", names(&found.not_checked)));
    }
    lines.extend(found.name.iter().map(|name| format!("    as {}", escape(name))));
    if !found.annotations.is_empty() {
        let pairs: Vec<String> =
            found.annotations.iter().map(|(key, value)| escape(&format!("{key}={value}"))).collect();
        lines.push(format!("    annotations: {}", pairs.join(", ")));
    }
    lines.extend(found.time.iter().map(|time| format!("    at {time}")));
    lines
}
