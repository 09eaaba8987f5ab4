//! `artifact attest`: signed statements about an artifact.

use std::{path::PathBuf, process::ExitCode};

use artifact::{
    Error, Result,
    error::Context as _,
    location::{Location, ReadLocation, name_in},
    sign::{self, attestation},
};
use serde_json::json;

use super::{
    cosign::SigningFlags,
    keys::{KeySource, PasswordArgs},
    report::{Report, about},
    session::{RegistryArgs, exact_in},
    sign::{container_name, signature_repository},
    text::escape,
};

/// Attest something about an artifact with a key: an SBOM, provenance, a review.
///
/// The statement lies beside the artifact as a sigstore bundle that refers to it. `verify --type` verifies it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The artifact; `repository:^1.2` is the newest tag in the range
    location: ReadLocation,
    /// The private key: a file, or `env://NAME` for the content of a variable
    #[arg(long, value_name = "KEY")]
    key: KeySource,
    /// What is attested: a JSON document, which goes in as it is
    #[arg(long, value_name = "FILE", required_unless_present = "statement", requires = "type_name")]
    predicate: Option<PathBuf>,
    /// Its type: a URI, or spdxjson, spdx, cyclonedx, slsaprovenance1, slsaprovenance02, link, vuln, openvex, custom
    #[arg(long = "type", value_name = "TYPE|URI")]
    type_name: Option<String>,
    /// Sign this whole in-toto statement, which must be about the artifact
    #[arg(long, value_name = "FILE", conflicts_with_all = ["predicate", "type_name"])]
    statement: Option<PathBuf>,
    /// Keep the attestation in this repository instead [default: COSIGN_REPOSITORY]
    #[arg(long, value_name = "REPOSITORY")]
    signature_repository: Option<Location>,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    cosign: SigningFlags,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    args.cosign.check()?;
    if args.cosign.new_bundle_format() == Some(false) {
        return Err(Error::misuse("legacy attestations are read, not written"));
    }
    if let Some(name) = &args.type_name {
        attestation::predicate_type(name)?;
    }
    let key = args.key.private(&args.password, report)?;
    let read =
        |path: &PathBuf| artifact::fs::read(path, attestation::MAX_PREDICATE).context(|| "read what is attested");
    let content = args.predicate.as_ref().or(args.statement.as_ref()).map(read).transpose()?.unwrap_or_default();
    let store = args.registry.write_existing(&args.location.location.place, report).await?;
    let location = exact_in(store.as_ref(), &args.location, report).await?;
    let subject = store.resolve(&name_in(store.as_ref(), &location).await?).await?.bare();
    let created = args.registry.context(report)?.date();
    let bundle = match &args.type_name {
        Some(type_name) => {
            let name = container_name(&location);
            let now = created.clone().unwrap_or_default();
            let predicate = attestation::Predicate { type_name, content: &content, now: &now, name: name.as_deref() };
            attestation::of_predicate(&subject, &predicate, &key, created.as_deref())?
        }
        None => attestation::of_statement(&subject, &content.into(), &key, created.as_deref())?,
    };
    let beside = match signature_repository(args.signature_repository.as_ref(), report)? {
        Some(other) => args.registry.write(&other.place, report).await?,
        None => store,
    };
    let written = sign::write_bundle(&beside, &bundle).await.context(|| format!("attest {location}"))?;
    report.say(format!("attested {} ({})", subject.digest, written.descriptor.digest));
    let mut json = about(&location.place, &subject)?;
    json.insert("location".into(), location.to_string().into());
    let made = json!({ "format": written.format, "location": written.descriptor.digest, "predicateType": bundle.predicate_type(), "outcome": "new" });
    json.insert("signatures".into(), json!([made]));
    report.result(None, &json, &[escape(&format!("{}@{}", location.place, subject.digest))])?;
    Ok(ExitCode::SUCCESS)
}
