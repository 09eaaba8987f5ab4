//! Programs: their commands, and how one is run.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use artifact::{
    Error, Kind, Result,
    fault::{Operation, Scenario},
};
use tokio::io::AsyncReadExt as _;

/// Where a client puts what it pulls, below the scratch directory.
pub(crate) const DIR: &str = "pulled";
/// The file, and the layout, that a client pushes.
pub(crate) const FILE: &str = "payload.tar.gz";
pub(crate) const LAYOUT: &str = "layout";

/// A client whose commands are known.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Preset {
    Artifact,
    Oras,
    Crane,
    Skopeo,
    /// skopeo with `--retry-times 3`
    SkopeoRetry,
}

impl Preset {
    pub(crate) fn client(self) -> Client {
        let (name, pull, push) = match self {
            Self::Artifact => ("artifact", "artifact pull {ref} {dir}", "artifact copy oci:{layout}:v1 {ref}"),
            Self::Oras => (
                "oras",
                "oras pull --plain-http {ref} -o {dir}",
                "oras cp --from-oci-layout {layout}:v1 --to-plain-http {ref}",
            ),
            Self::Crane => {
                ("crane", "crane pull --insecure --format oci {ref} {dir}", "crane push --insecure {layout} {ref}")
            }
            Self::Skopeo => (
                "skopeo",
                "skopeo copy --src-tls-verify=false docker://{ref} oci:{dir}:v1",
                "skopeo copy --dest-tls-verify=false oci:{layout}:v1 docker://{ref}",
            ),
            Self::SkopeoRetry => (
                "skopeo, 3 retries",
                "skopeo copy --retry-times 3 --src-tls-verify=false docker://{ref} oci:{dir}:v1",
                "skopeo copy --retry-times 3 --dest-tls-verify=false oci:{layout}:v1 docker://{ref}",
            ),
        };
        let along = match self {
            Self::Artifact => Some("artifact pull --referrers {ref} {dir}"),
            Self::Oras => Some("oras cp --recursive --from-plain-http {ref} --to-oci-layout {dir}:v1"),
            Self::Crane | Self::Skopeo | Self::SkopeoRetry => None,
        };
        Client {
            name: name.to_owned(),
            pull: Some(pull.into()),
            pull_referrers: along.map(Into::into),
            push: Some(push.into()),
        }
    }
}

/// A program, and what it is called with: `None` where it has no such command.
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) pull: Option<String>,
    pub(crate) pull_referrers: Option<String>,
    pub(crate) push: Option<String>,
}

/// How a run ended.
pub(crate) struct Ran {
    /// `None`: it did not, and was killed.
    pub(crate) success: Option<bool>,
    pub(crate) seconds: f64,
    /// The last line that it said.
    pub(crate) said: String,
}

impl Client {
    /// What it is called with in this scenario. Who packs files anew does not push what they are about.
    pub(crate) fn command(&self, scenario: &Scenario) -> Option<&str> {
        match scenario.operation {
            Operation::Pull if scenario.sample.referrers > 0 => self.pull_referrers.as_deref(),
            Operation::Pull => self.pull.as_deref(),
            Operation::Push => {
                self.push.as_deref().filter(|push| !scenario.sample.subject || push.contains("{layout}"))
            }
        }
    }

    /// Runs one of its commands in a directory of its own, with a home and a cache of its own.
    pub(crate) async fn run(
        &self,
        command: &str,
        host: &str,
        dir: &Path,
        limit: Duration,
        verbose: bool,
    ) -> Result<Ran> {
        let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
        let fill = |word: &str| {
            let word = word.replace("{ref}", &format!("{host}/conformance:v1")).replace("{dir}", &path(DIR));
            word.replace("{layout}", &path(LAYOUT)).replace("{file}", FILE)
        };
        let words: Vec<String> = command.split_whitespace().map(fill).collect();
        let (program, args) = words.split_first().ok_or_else(|| Error::invalid("an empty command"))?;
        let started = Instant::now();
        let mut child = tokio::process::Command::new(program)
            .args(args)
            .current_dir(dir)
            .env("HOME", dir)
            .env("XDG_RUNTIME_DIR", dir)
            .env("TMPDIR", dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| Error::caused(Kind::NotFound, format!("cannot run `{program}`"), e))?;
        let mut stderr = child.stderr.take();
        let mut said = Vec::new();
        let ended = tokio::time::timeout(limit, async {
            if let Some(stderr) = &mut stderr {
                let _ = stderr.read_to_end(&mut said).await;
            }
            child.wait().await
        });
        let success = match ended.await {
            Ok(status) => Some(status?.success()),
            Err(_) => None,
        };
        if success.is_none() {
            child.kill().await?;
        }
        let said = String::from_utf8_lossy(&said);
        if verbose {
            eprint!("{said}");
        }
        let said = said.trim_end().lines().last().unwrap_or_default().escape_default().to_string();
        Ok(Ran { success, seconds: started.elapsed().as_secs_f64(), said })
    }
}
