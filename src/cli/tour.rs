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

/// Demonstrate artifact: push a sample of each type to an embedded registry, pull, unpack, check.
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
    let server = Server::bind(([127, 0, 0, 1], 0), Registry::new(Options::in_memory())).await?;
    let registry = server.addr().to_string();
    let server = server.spawn();
    let outcome = steps(&registry, report).await;
    outcome.and(server.stop().await)?;
    report.line("\nAll of the above ran against a real OCI registry, embedded, on a free port.")?;
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
    step(&format!("pull {registry}/docs:v1 docs-again --unpack"), report).await
}

/// Prints a command line and runs it.
async fn step(line: &str, report: &Report) -> Result<()> {
    report.line(format!("$ artifact {line}"))?;
    let words = std::iter::once("artifact").chain(line.split(' '));
    let cli = Cli::try_parse_from(words).map_err(|e| Error::invalid(e.to_string()))?;
    let done = Box::pin(super::dispatch(cli.command, report)).await?;
    if done == ExitCode::SUCCESS { Ok(()) } else { Err(Error::invalid(format!("`artifact {line}` failed"))) }
}
