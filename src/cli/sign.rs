//! `artifact sign`: signatures beside artifacts and files.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use artifact::{
    Error, Result,
    blob::once,
    error::Context as _,
    graph::{Graph, Root},
    location::{Location, Place, ReadLocation, name_in},
    oci::{Descriptor, Reference},
    sign::{self, Evidence, FileHashes, Format, Options, PrivateKey, Signed},
    store::{ReadStore, Store},
};
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::{
    cosign::SigningFlags,
    data::to_file,
    environment,
    keys::{KeySource, PasswordArgs},
    pairs::{distinct, pair},
    report::{Report, about},
    session::{RegistryArgs, exact_in},
    several::{Failure, add_failures, tell_failures},
    text::escape,
};

/// Sign artifacts or files with a key.
///
/// A tag is resolved once; its digest is what is signed. Signatures lie beside the artifact, in cosign's formats: a
/// sigstore bundle that refers to it, and a legacy signature under the tag `sha256-….sig`, which older readers need. No
/// service is asked. `verify` verifies them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The artifacts; `repository:^1.2` is the newest tag in the range
    #[arg(required_unless_present = "files", value_name = "LOCATION")]
    locations: Vec<ReadLocation>,
    /// Sign this file instead: writes `FILE.sigstore.json`
    #[arg(long = "file", value_name = "FILE", conflicts_with = "locations")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    signing: SigningArgs,
    /// Sign an annotation along, `key=value`
    #[arg(short = 'a', long = "annotation", value_name = "KEY=VALUE", value_parser = pair, conflicts_with = "files")]
    annotations: Vec<(String, String)>,
    /// Sign every manifest of an index, too
    #[arg(short = 'r', long, conflicts_with = "files")]
    recursive: bool,
    /// What is written [default: both, where the location has a repository's name; else a bundle]
    #[arg(long, value_name = "FORMAT", conflicts_with = "files")]
    signature_format: Option<SignatureFormat>,
    /// The name under which a legacy signature says the artifact is [default: `registry/repository` of the location]
    #[arg(long, value_name = "NAME", conflicts_with = "files")]
    sign_container_identity: Option<String>,
    /// Write the sigstore bundle to this file, too
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// With `=false` and --bundle, write the file only
    #[arg(long, default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    upload: bool,
    /// Sign again what this key has signed already
    #[arg(long, conflicts_with = "files")]
    again: bool,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// A private key, and where what it signs is kept.
#[derive(Debug, clap::Args)]
pub(crate) struct SigningArgs {
    /// The private key: a file, or `env://NAME` for the content of a variable
    #[arg(long, value_name = "KEY")]
    pub(crate) key: KeySource,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
    /// Keep what is signed in this repository instead [default: COSIGN_REPOSITORY]
    #[arg(long, value_name = "REPOSITORY")]
    signature_repository: Option<Location>,
    #[command(flatten)]
    pub(crate) cosign: SigningFlags,
}

/// An artifact that is signed, or attested about.
pub(crate) struct Target {
    pub(crate) location: Location,
    pub(crate) root: Descriptor,
    store: Arc<dyn Store>,
    /// Where its signatures are.
    pub(crate) beside: Arc<dyn Store>,
}

impl SigningArgs {
    /// The repository for signatures, if it is another; says so where a variable names it.
    pub(crate) fn repository(&self, report: &Report) -> Result<Option<Location>> {
        signature_repository(self.signature_repository.as_ref(), report)
    }
}

/// Opens the store of an artifact, and that of its signatures.
pub(crate) async fn open(
    wanted: &ReadLocation,
    repository: Option<&Location>,
    registry: &RegistryArgs,
    report: &Report,
) -> Result<Target> {
    let store = registry.write_existing(&wanted.location.place, report).await?;
    let location = exact_in(store.as_ref(), wanted, report).await?;
    let root = store.resolve(&name_in(store.as_ref(), &location).await?).await?.bare();
    let beside = match repository {
        Some(other) => registry.write(&other.place, report).await?,
        None => Arc::clone(&store),
    };
    Ok(Target { location, root, store, beside })
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SignatureFormat {
    /// A sigstore bundle
    Bundle,
    /// A legacy signature
    Legacy,
    /// Both
    Both,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    args.signing.cosign.check()?;
    if !args.upload && args.bundle.is_none() {
        return Err(Error::misuse("`--upload=false` writes the signature nowhere: give `--bundle FILE` as well"));
    }
    if args.bundle.is_some() && (args.locations.len() > 1 || args.files.len() > 1 || args.recursive) {
        return Err(Error::misuse("`--bundle` takes the signature of one artifact or file"));
    }
    if args.bundle.is_some() && args.format() == Some(SignatureFormat::Legacy) {
        return Err(Error::misuse("`--bundle` takes a sigstore bundle, and a legacy signature is none"));
    }
    let annotations = distinct(&args.annotations, "--annotation", "")?;
    if !args.files.is_empty() {
        return sign_files(&args, report).await;
    }
    let repository = args.signing.repository(report)?;
    let looking = look(&args, repository.as_ref(), report);
    let (key, targets) = args.signing.key.private_during(&args.signing.password, report, looking).await?;
    let (mut documents, mut lines, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (wanted, target) in args.locations.iter().zip(targets) {
        let signed = match target {
            Ok((target, evidence)) => sign_one(&args, target, evidence, &annotations, &key, report).await,
            Err(error) => Err(error),
        };
        match signed {
            Ok((json, line)) => {
                documents.push(Value::from(json));
                lines.push(line);
            }
            Err(error) if args.locations.len() == 1 => return Err(error),
            Err(error) => failed.push(Failure::of(wanted, error)),
        }
    }
    let done = documents.len();
    let mut document = match documents.as_mut_slice() {
        [Value::Object(one)] if args.locations.len() == 1 => std::mem::take(one),
        _ => Map::from_iter([("artifacts".to_owned(), documents.into())]),
    };
    add_failures(&mut document, &failed);
    report.result(None, &document, &lines)?;
    Ok(tell_failures(report, "sign", failed, done, false))
}

/// An artifact to sign, with what is beside each of its manifests that are signed.
type Looked = Result<(Target, Vec<Evidence>)>;

/// Looks at each location, in their order.
async fn look(args: &Args, repository: Option<&Location>, report: &Report) -> Vec<Looked> {
    let mut all = Vec::new();
    for wanted in &args.locations {
        all.push(look_at(args, wanted, repository, report).await);
    }
    all
}

async fn look_at(args: &Args, wanted: &ReadLocation, repository: Option<&Location>, report: &Report) -> Looked {
    let target = open(wanted, repository, &args.registry, report).await?;
    let subjects = match args.recursive {
        true => manifests_of(Arc::clone(&target.store) as _, &target.root).await?,
        false => vec![target.root.clone()],
    };
    let mut evidence = Vec::new();
    for subject in subjects {
        evidence.push(match args.upload {
            true => Evidence::read(target.beside.as_ref(), &subject).await,
            false => Evidence::none(subject),
        });
    }
    Ok((target, evidence))
}

/// A manifest, and if it is an index, all manifests in it: members first.
pub(crate) async fn manifests_of(store: Arc<dyn ReadStore>, root: &Descriptor) -> Result<Vec<Descriptor>> {
    let graph = Graph::of(&[store], vec![Root::new(root.clone(), Vec::new())], false).await?;
    Ok(graph.manifests.iter().map(|entry| entry.desc.bare()).collect())
}

async fn sign_one(
    args: &Args,
    target: Target,
    evidence: Vec<Evidence>,
    annotations: &BTreeMap<String, String>,
    key: &PrivateKey,
    report: &Report,
) -> Result<(Map<String, Value>, String)> {
    let Target { location, root, beside, .. } = target;
    let mut options = options(args, &location, report)?;
    options.annotations.clone_from(annotations);
    let mut signatures = Vec::new();
    for evidence in evidence {
        let signed = sign_manifest(args, &beside, evidence, key, &options).await;
        let signed = signed.context(|| format!("sign {location}"))?;
        // At once: the next one may fail.
        tell(&signed, report);
        signatures.extend(written(&signed));
        match (&args.bundle, &signed.bundle) {
            (Some(path), Some(bundle)) => to_file(once(bundle.clone()), path).await?,
            (Some(path), None) => {
                let message =
                    format!("no bundle was made, and none written to `{}`; `--again` makes one", path.display());
                return Err(Error::misuse(message));
            }
            (None, _) => {}
        }
    }
    let mut json = about(&location.place, &root)?;
    json.insert("location".into(), location.to_string().into());
    json.insert("signatures".into(), signatures.into());
    Ok((json, escape(&format!("{}@{}", location.place, root.digest))))
}

async fn sign_manifest(
    args: &Args,
    store: &Arc<dyn Store>,
    evidence: Evidence,
    key: &PrivateKey,
    options: &Options,
) -> Result<Signed> {
    if args.upload {
        return sign::sign_beside(store, evidence, key, options).await;
    }
    let subject = evidence.subject;
    let made = sign::bundle(&subject, key, options)?;
    Ok(Signed { subject, written: Vec::new(), present: Vec::new(), bundle: Some(made.bundle) })
}

/// The repository that signatures are kept in, if it is another.
pub(crate) fn signature_repository(given: Option<&Location>, report: &Report) -> Result<Option<Location>> {
    const VARIABLE: &str = "COSIGN_REPOSITORY";
    let other = match given {
        Some(given) => given.clone(),
        None => match environment::variable(VARIABLE).filter(|text| !text.is_empty()) {
            Some(text) => {
                report.say(format!("signatures are in {text} ({VARIABLE})"));
                text.parse::<Location>().context(|| format!("read `{VARIABLE}`"))?
            }
            None => return Ok(None),
        },
    };
    if other.tag.is_some() || other.digest.is_some() {
        return Err(Error::misuse(format!("`{other}` is not a repository: signatures find their tags themselves")));
    }
    Ok(Some(other))
}

/// `registry/repository` of a location; a layout's name may be a whole reference.
pub(crate) fn container_name(location: &Location) -> Option<String> {
    match (&location.place, &location.tag) {
        (Place::Registry { .. }, _) => Some(location.place.to_string()),
        (_, Some(tag)) => {
            let reference: Reference = tag.as_str().parse().ok()?;
            Some(format!("{}/{}", reference.registry(), reference.repository()))
        }
        _ => None,
    }
}

impl Args {
    /// The format that is asked for, in our words or in cosign's.
    fn format(&self) -> Option<SignatureFormat> {
        let of_cosign = |new| if new { SignatureFormat::Bundle } else { SignatureFormat::Legacy };
        self.signature_format.or_else(|| self.signing.cosign.new_bundle_format().map(of_cosign))
    }
}

fn options(args: &Args, location: &Location, report: &Report) -> Result<Options> {
    let name = args.sign_container_identity.clone().or_else(|| container_name(location));
    let default = if name.is_some() { SignatureFormat::Both } else { SignatureFormat::Bundle };
    let format = args.format().unwrap_or(default);
    if format != SignatureFormat::Bundle && name.is_none() {
        return Err(Error::misuse(format!(
            "a legacy signature names a repository, and {location} has none: give `--sign-container-identity REGISTRY/REPOSITORY`"
        )));
    }
    let mut options = Options::default();
    options.bundle = format != SignatureFormat::Legacy;
    options.legacy = name.filter(|_| format != SignatureFormat::Bundle);
    options.again = args.again;
    options.created = Some(args.registry.context(report)?.date()?);
    Ok(options)
}

fn tell(signed: &Signed, report: &Report) {
    let digest = &signed.subject.digest;
    for format in &signed.present {
        report.say(format!("{digest} is signed by this key already ({}); `--again` signs it again", word(*format)));
    }
    for written in &signed.written {
        let place =
            written.tag.as_ref().map_or_else(|| written.descriptor.digest.to_string(), |tag| format!("tag {tag}"));
        report.say(format!("signed {digest} ({}: {place})", word(written.format)));
    }
    if signed.written.is_empty() && signed.present.is_empty() {
        report.say(format!("signed {digest}; nothing was uploaded"));
    }
}

pub(crate) fn word(format: Format) -> &'static str {
    match format {
        Format::Bundle => "bundle",
        Format::Legacy => "legacy",
    }
}

/// What was written for one manifest, or was there, as JSON.
fn written(signed: &Signed) -> Vec<Value> {
    let subject = &signed.subject.digest;
    let made = signed.written.iter().map(|made| {
        json!({ "subject": subject, "format": made.format, "location": made.descriptor.digest, "tag": made.tag, "outcome": "new" })
    });
    let present =
        signed.present.iter().map(|format| json!({ "subject": subject, "format": format, "outcome": "same" }));
    made.chain(present).collect()
}

async fn sign_files(args: &Args, report: &Report) -> Result<ExitCode> {
    if args.format() == Some(SignatureFormat::Legacy) || args.signing.signature_repository.is_some() {
        return Err(Error::misuse("the signature of a file is a sigstore bundle, which is a file, too"));
    }
    let key = args.signing.key.private(&args.signing.password, report)?;
    let (mut files, mut lines) = (Vec::new(), Vec::new());
    for file in &args.files {
        let bundle = args.bundle.clone().unwrap_or_else(|| beside(file));
        let _shown = report.shows();
        let hashes = FileHashes::read(file, &[key.public().clone()], &report.observer()).await?;
        report.ended();
        to_file(once(hashes.sign(&key)?), &bundle).await?;
        report.say(format!("signed {}", hashes.digest));
        lines.push(escape(&bundle.display().to_string()));
        files.push(json!({ "file": file, "digest": hashes.digest, "size": hashes.size, "bundle": bundle }));
    }
    match files.as_slice() {
        [one] => report.result(None, one, &lines)?,
        _ => report.result(None, &json!({ "artifacts": files }), &lines)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The bundle that lies beside a file.
pub(crate) fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sigstore.json");
    name.into()
}
