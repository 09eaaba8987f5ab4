//! Credential helpers: programs called `docker-credential-NAME` that store secrets elsewhere (the protocol of
//! docker/docker-credential-helpers: a verb as argument, input on standard input, JSON on standard output).

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    error::{Code, Context as _, Error, Kind, Result},
    process,
    stores::registry::origins::redact::{excerpt, without_secrets},
};

/// Longest output of a helper, in bytes.
const MAX_OUTPUT: u64 = 64 << 10;
/// The output of a helper, with a failing status, if it has nothing for a server.
const NOT_FOUND: &str = "credentials not found";

/// A helper's answer about a server.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Known {
    #[serde(rename = "ServerURL")]
    pub(super) server: String,
    pub(super) username: String,
    pub(super) secret: String,
}

impl Known {
    /// Reads an answer; as for Go's decoder, which all other clients use, the case of its keys does not matter, and the
    /// last of equal ones counts.
    fn read(output: &[u8]) -> Option<Self> {
        let answer: Map<String, Value> = serde_json::from_slice(output).ok()?;
        let text = |wanted: &str| {
            let found = answer.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(wanted));
            found.and_then(|(_, value)| value.as_str()).map(str::to_owned)
        };
        Some(Self {
            server: text("ServerURL").unwrap_or_default(),
            username: text("Username")?,
            secret: text("Secret")?,
        })
    }
}

/// The end of a run of a helper.
struct Ran {
    succeeded: bool,
    output: Vec<u8>,
    /// The first line that says why it failed: of its output, by the protocol, else of its standard error.
    why: String,
}

/// A helper program.
pub(super) struct Helper {
    program: PathBuf,
    timeout: Duration,
}

impl Ran {
    fn has_nothing(&self) -> bool {
        !self.succeeded && String::from_utf8_lossy(&self.output).contains(NOT_FOUND)
    }
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
            None => {
                let error = Error::unsupported(format!("the credential helper `{file}` is not installed"));
                Err(error.with_code(Code::HelperMissing))
            }
        }
    }

    /// The helper's credentials for this server; `None` if it has none.
    pub(super) async fn get(&self, server: &str) -> Result<Option<Known>> {
        let ran = self.run_verb("get", server.as_bytes()).await?;
        if ran.has_nothing() {
            return Ok(None);
        }
        if !ran.succeeded {
            return Err(self.failed(&format!("failed: {}", ran.why)));
        }
        // The output of a success may be a secret, so no message repeats any of it.
        Known::read(&ran.output).map(Some).ok_or_else(|| self.failed("returned no valid credentials"))
    }

    /// Stores a secret with the helper.
    pub(super) async fn store(&self, known: &Known) -> Result<()> {
        let json = serde_json::to_vec(known).map_err(|_| self.failed("cannot store these credentials"))?;
        let ran = self.run_verb("store", &json).await?;
        let why = without_secrets(&ran.why, std::slice::from_ref(&known.secret));
        if ran.succeeded { Ok(()) } else { Err(self.failed(&format!("failed to store credentials: {why}"))) }
    }

    /// Erases the credentials for a server; `false` if there were none.
    pub(super) async fn erase(&self, server: &str) -> Result<bool> {
        let ran = self.run_verb("erase", server.as_bytes()).await?;
        if !ran.succeeded && !ran.has_nothing() {
            return Err(self.failed(&format!("failed to erase credentials: {}", ran.why)));
        }
        Ok(ran.succeeded)
    }

    async fn run_verb(&self, verb: &str, input: &[u8]) -> Result<Ran> {
        let limits = process::Limits { time: self.timeout, output: MAX_OUTPUT };
        let ended = process::run(&self.program, &[OsStr::new(verb)], input.to_owned(), limits).await;
        let ended = ended.map_err(|e| e.with_code(Code::HelperFailed)).context(|| self.name())?;
        let text = String::from_utf8_lossy(&ended.output);
        let said = text.lines().map(str::trim).find(|line| !line.is_empty()).map(excerpt);
        let why = said.unwrap_or(ended.complaint);
        let why = if why.is_empty() { format!("no message ({})", ended.status) } else { why };
        Ok(Ran { succeeded: ended.status.success(), output: ended.output, why })
    }

    fn failed(&self, what: &str) -> Error {
        Error::new(Kind::Unauthorized, format!("{} {what}", self.name())).with_code(Code::HelperFailed)
    }

    /// What it is called, for messages.
    pub(super) fn name(&self) -> String {
        let name = self.program.file_name().unwrap_or_default();
        format!("the credential helper `{}`", Path::new(name).display())
    }
}
