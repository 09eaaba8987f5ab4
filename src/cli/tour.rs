//! `artifact tour`: a demonstration of the main commands on an embedded registry, in five seconds.
//!
//! Every step is a command line, printed and then run by the parser and code that the user's own commands take; only
//! the server is started directly, on a free port.

use std::{
    env,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use artifact::{
    Error, Result,
    error::Context as _,
    serve::{Options, Registry, Server},
};
use clap::Parser as _;
use include_dir::{Dir, include_dir};

use super::{Cli, report::Report};

static SLIDES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/examples/slides");
static DECK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/examples/deck");
static CHART: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/examples/chart");
static DOCS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/examples/docs");

/// Where the password of the tour's key is.
const PASSWORD: &str = "--password-file password";
/// What is attested about the documents.
const SBOM: &str = r#"{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "docs"}"#;

/// Demonstrate artifact: push a sample of each type to an embedded registry, pull, unpack, check,
/// sign, verify.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Keep all files of the tour in this directory, which must not exist
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    report.lines_only("the tour")?;
    let temporary = tempfile::tempdir().context(|| "cannot create a temporary directory")?;
    let dir = match args.keep {
        Some(dir) => {
            std::fs::create_dir(&dir).context(|| format!("cannot create `{}`", dir.display()))?;
            dir
        }
        None => temporary.path().to_path_buf(),
    };
    for (name, sample) in [("slides", &SLIDES), ("deck", &DECK), ("chart", &CHART), ("docs", &DOCS)] {
        let target = dir.join(name);
        std::fs::create_dir(&target).and_then(|()| sample.extract(&target)).context(|| "cannot write the samples")?;
    }
    restore(&dir).context(|| "cannot write the samples")?;
    env::set_current_dir(&dir).context(|| format!("cannot change to the directory `{}`", dir.display()))?;
    let bind = || async { Server::bind(([127, 0, 0, 1], 0), Registry::new(Options::in_memory())).await };
    let (server, other) = (bind().await?, bind().await?);
    let (registry, mirror) = (server.addr().to_string(), other.addr().to_string());
    let (server, other) = (server.spawn(), other.spawn());
    let outcome = steps(&registry, report).await;
    outcome.and(server.stop().await)?;
    let outcome = far_side(&registry, &mirror, report).await;
    outcome.and(other.stop().await)?;
    report.line("\nAll of the above ran against real OCI registries, embedded, on free ports.")?;
    Ok(ExitCode::SUCCESS)
}

/// Restores a symbolic link and an executable bit that embedding loses.
fn restore(dir: &Path) -> std::io::Result<()> {
    let link = dir.join("docs/START-HERE.md");
    std::fs::remove_file(&link)?;
    std::os::unix::fs::symlink("index.md", link)?;
    std::fs::set_permissions(dir.join("docs/tools/compare.sh"), std::fs::Permissions::from_mode(0o755))
}

async fn steps(registry: &str, report: &Report) -> Result<()> {
    let say = |text: &str| report.line(format!("\n# {text}"));
    report.line(format!("# An OCI registry, embedded:\n$ artifact serve --writable --listen {registry} &"))?;

    say("The types are data. These are built in:")?;
    step("types list", report).await?;

    say("A slide deck: the specification becomes the config, every distinct slide a layer.")?;
    step(&format!("push slides/slides.yaml {registry}/talk:v1"), report).await?;
    say("Push it again: nothing moves.")?;
    step(&format!("push slides/slides.yaml {registry}/talk:v1"), report).await?;
    say("A Markdown deck, a Helm chart from its directory, a directory of documents.")?;
    step(&format!("push deck/deck.md {registry}/deck:v1"), report).await?;
    step(&format!("push chart {registry}/charts"), report).await?;
    step(&format!("push docs {registry}/docs:v1"), report).await?;
    say("Attach a document to the talk.")?;
    step(&format!("attach {registry}/talk:v1 deck/deck.md --type file-bundle"), report).await?;

    say("List and inspect the result.")?;
    step(&format!("ls {registry}"), report).await?;
    step(&format!("ls {registry}/talk"), report).await?;
    step(&format!("inspect {registry}/talk:v1"), report).await?;
    step(&format!("cat {registry}/talk:v1 config"), report).await?;
    report.line("")?;
    report.line("")?;

    say("Pull into an OCI layout, copy that into one tar file, check both.")?;
    step(&format!("pull {registry}/talk:v1 layout --referrers"), report).await?;
    step("copy oci:layout:v1 oci-archive:talk.tar:v1", report).await?;
    step("check oci:layout", report).await?;
    step("check oci-archive:talk.tar", report).await?;

    say("Unpack into files.")?;
    step("pull oci-archive:talk.tar:v1 slides-again --unpack", report).await?;
    step(&format!("pull {registry}/docs:v1 docs-again --unpack"), report).await?;

    say("A pair of keys. The chart is signed while it is pushed, the talk and the documents afterwards.")?;
    std::fs::write("password", "of the tour")
        .and_then(|()| std::fs::write("sbom.json", SBOM))
        .context(|| "cannot write the samples")?;
    step(&format!("keygen tour {PASSWORD}"), report).await?;
    step(&format!("push chart {registry}/charts --sign tour.key {PASSWORD}"), report).await?;
    step(&format!("sign {registry}/talk:v1 {registry}/docs:v1 --key tour.key {PASSWORD}"), report).await?;
    say("An SBOM, attested. Then all of it is verified with the public key alone.")?;
    let attest = format!("attest {registry}/docs:v1 --key tour.key {PASSWORD} --predicate sbom.json --type spdxjson");
    step(&attest, report).await?;
    step(&format!("verify {registry}/charts/notice-board:0.1.0 --key tour.pub"), report).await?;
    step(&format!("verify {registry}/talk:v1 {registry}/docs:v1 --key tour.pub"), report).await?;
    say("All of the registry in one tar file: it is signed, too.")?;
    step(&format!("copy --repositories {registry} oci-archive:signed.tar"), report).await?;
    step(&format!("sign --file signed.tar --key tour.key {PASSWORD}"), report).await
}

/// The file is carried to another network: the first registry is gone.
async fn far_side(registry: &str, mirror: &str, report: &Report) -> Result<()> {
    let say = |text: &str| report.line(format!("\n# {text}"));
    say("Elsewhere: the first registry is gone. The file is what was signed, and so is what is in it.")?;
    step("verify --file signed.tar --key tour.pub", report).await?;
    step(&format!("verify oci-archive:signed.tar:{registry}/talk:v1 --key tour.pub"), report).await?;
    step(&format!("verify oci-archive:signed.tar:{registry}/docs:v1 --key tour.pub --type spdxjson"), report).await?;
    say("Into another registry, with all signatures.")?;
    step(&format!("copy --all-tags oci-archive:signed.tar {mirror}"), report).await?;
    step(&format!("verify {mirror}/charts/notice-board:0.1.0 {mirror}/talk:v1 --key tour.pub"), report).await?;
    step(&format!("verify {mirror}/docs:v1 --key tour.pub --type spdxjson"), report).await?;
    step(&format!("tree {mirror}/docs:v1"), report).await
}

/// Prints a command line and runs it.
async fn step(line: &str, report: &Report) -> Result<()> {
    report.line(format!("$ artifact {line}"))?;
    let words = std::iter::once("artifact").chain(line.split(' '));
    let cli = Cli::try_parse_from(words).map_err(|e| Error::invalid(e.to_string()))?;
    let done = Box::pin(super::dispatch(cli.command, report)).await?;
    if done == ExitCode::SUCCESS { Ok(()) } else { Err(Error::invalid(format!("`artifact {line}` failed"))) }
}
