//! `artifact attest`: signed statements about an artifact.

use std::{path::PathBuf, process::ExitCode};

use artifact::{
    Error, Result,
    error::Context as _,
    location::ReadLocation,
    sign::{self, attestation},
};
use serde_json::json;

use super::{
    report::{Report, about},
    session::RegistryArgs,
    sign::{SigningArgs, Target, container_name, open},
    text::escape,
};

/// Attest something about an artifact with a key: an SBOM, provenance, a review.
///
/// The statement lies beside the artifact as a sigstore bundle that refers to it. `verify --type` verifies it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The artifact; `repository:^1.2` is the newest tag in the range
    location: ReadLocation,
    #[command(flatten)]
    signing: SigningArgs,
    /// What is attested: a JSON document, which goes in as it is
    #[arg(long, value_name = "FILE", required_unless_present = "statement", requires = "type_name")]
    predicate: Option<PathBuf>,
    /// Its type: a URI, or spdxjson, spdx, cyclonedx, slsaprovenance1, slsaprovenance02, link, vuln, openvex, custom
    #[arg(long = "type", value_name = "TYPE|URI")]
    type_name: Option<String>,
    /// Sign this whole in-toto statement, which must be about the artifact
    #[arg(long, value_name = "FILE", conflicts_with_all = ["predicate", "type_name"])]
    statement: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    args.signing.cosign.check()?;
    if args.signing.cosign.new_bundle_format() == Some(false) {
        return Err(Error::misuse("legacy attestations are read, not written"));
    }
    if let Some(name) = &args.type_name {
        attestation::predicate_type(name)?;
    }
    let key = args.signing.key.private(&args.signing.password, report)?;
    let read =
        |path: &PathBuf| artifact::fs::read(path, attestation::MAX_PREDICATE).context(|| "read what is attested");
    let content = args.predicate.as_ref().or(args.statement.as_ref()).map(read).transpose()?.unwrap_or_default();
    let repository = args.signing.repository(report)?;
    let Target { location, root, beside, .. } =
        open(&args.location, repository.as_ref(), &args.registry, report).await?;
    let created = args.registry.context(report)?.date()?;
    let bundle = match &args.type_name {
        Some(type_name) => {
            let name = container_name(&location);
            let predicate =
                attestation::Predicate { type_name, content: &content, now: &created, name: name.as_deref() };
            attestation::of_predicate(&root, &predicate, &key, Some(&created))?
        }
        None => attestation::of_statement(&root, &content.into(), &key, Some(&created))?,
    };
    let written = sign::write_bundle(&beside, &bundle).await.context(|| format!("attest {location}"))?;
    report.say(format!("attested {} ({})", root.digest, written.descriptor.digest));
    let mut json = about(&location.place, &root)?;
    json.insert("location".into(), location.to_string().into());
    let made = json!({ "format": written.format, "location": written.descriptor.digest, "predicateType": bundle.predicate_type(), "outcome": "new" });
    json.insert("signatures".into(), json!([made]));
    report.result(None, &json, &[escape(&format!("{}@{}", location.place, root.digest))])?;
    Ok(ExitCode::SUCCESS)
}
