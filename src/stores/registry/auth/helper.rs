//! Credential helpers: programs called `docker-credential-NAME` that store secrets elsewhere (the protocol of
//! docker/docker-credential-helpers: a verb as argument, input on standard input, JSON on standard output).

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Context as _, Error, Kind, Result},
    process,
};

/// Longest output of a helper, in bytes.
const MAX_OUTPUT: u64 = 64 << 10;
/// The output of a helper, with a failing status, if it has nothing for a server.
const NOT_FOUND: &str = "credentials not found";

/// A helper's answer about a server.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Known {
    #[serde(rename = "ServerURL", default)]
    pub(super) server: String,
    pub(super) username: String,
    pub(super) secret: String,
}

/// A helper program.
pub(super) struct Helper {
    program: PathBuf,
    timeout: Duration,
}

impl Helper {
    /// Searches these directories for the helper of this name.
    ///
    /// Errors: a name that could be a path or an option, no such program.
    pub(super) fn find(name: &str, dirs: &[PathBuf], timeout: Duration) -> Result<Self> {
        let safe = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(safe) || name.starts_with(['.', '-']) {
            let name: String = name.chars().take(64).collect();
            return Err(Error::invalid(format!("`{name}` is not a credential helper name")));
        }
        let file = format!("docker-credential-{name}");
        match process::find(&file, dirs) {
            Some(program) => Ok(Self { program, timeout }),
            None => Err(Error::unsupported(format!("the credential helper `{file}` is not installed"))),
        }
    }

    /// The helper's credentials for this server; `None` if it has none.
    pub(super) async fn get(&self, server: &str) -> Result<Option<Known>> {
        let (ok, output) = self.run_verb("get", server.as_bytes()).await?;
        if !ok && String::from_utf8_lossy(&output).contains(NOT_FOUND) {
            return Ok(None);
        }
        // Its output may be a secret, so no message repeats any of it.
        let known: Option<Known> = serde_json::from_slice(&output).ok().filter(|_| ok);
        known.map(Some).ok_or_else(|| self.failed("returned no valid credentials"))
    }

    /// Stores a secret with the helper.
    pub(super) async fn store(&self, known: &Known) -> Result<()> {
        let json = serde_json::to_vec(known).map_err(|_| self.failed("cannot store these credentials"))?;
        let (ok, _) = self.run_verb("store", &json).await?;
        if ok { Ok(()) } else { Err(self.failed("failed to store credentials")) }
    }

    /// Erases the credentials for a server; `false` if there were none.
    pub(super) async fn erase(&self, server: &str) -> Result<bool> {
        let (ok, output) = self.run_verb("erase", server.as_bytes()).await?;
        if !ok && !String::from_utf8_lossy(&output).contains(NOT_FOUND) {
            return Err(self.failed("failed to erase credentials"));
        }
        Ok(ok)
    }

    async fn run_verb(&self, verb: &str, input: &[u8]) -> Result<(bool, Vec<u8>)> {
        let limits = process::Limits { time: self.timeout, output: MAX_OUTPUT };
        let ended = process::run(&self.program, &[OsStr::new(verb)], input.to_owned(), limits).await;
        let ended = ended.context(|| self.name())?;
        Ok((ended.status.success(), ended.output))
    }

    fn failed(&self, what: &str) -> Error {
        Error::new(Kind::Unauthorized, format!("{} {what}", self.name()))
    }

    /// What it is called, for messages.
    pub(super) fn name(&self) -> String {
        let name = self.program.file_name().unwrap_or_default();
        format!("the credential helper `{}`", Path::new(name).display())
    }
}
