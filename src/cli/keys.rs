//! Keys on the command line: where they are, and their passwords.

use std::{io::IsTerminal as _, os::unix::fs::PermissionsExt as _, path::PathBuf, str::FromStr};

use artifact::{
    Error, Kind, Result,
    error::Context as _,
    sign::{PrivateKey, PublicKey},
};
use zeroize::Zeroizing;

use super::{environment, report::Report};

/// The variable with the password of a key, as for cosign.
const PASSWORD: &str = "COSIGN_PASSWORD";
/// Longest password in bytes.
const MAX_PASSWORD: u64 = 64 << 10;
/// Schemes of services that keep keys.
const SERVICES: [&str; 7] = ["awskms", "azurekms", "gcpkms", "gitlab", "hashivault", "k8s", "pkcs11"];

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// In a file.
    File(PathBuf),
    /// In a variable: `env://NAME`.
    Variable(String),
}

impl FromStr for KeySource {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if let Some(name) = text.strip_prefix("env://") {
            return Ok(Self::Variable(name.to_owned()));
        }
        let scheme = text.split_once(':').map(|(scheme, _)| scheme);
        match scheme.filter(|scheme| SERVICES.contains(scheme)) {
            Some(scheme) => Err(format!("keys in services (`{scheme}:`) are not supported; export the key to a file")),
            None if text.contains("PRIVATE KEY-----") => {
                Err("a key is given by its file, never on the command line".into())
            }
            None => Ok(Self::File(text.into())),
        }
    }
}

impl KeySource {
    /// The text of a variable. Errors: it is not set.
    fn variable(name: &str) -> Result<Zeroizing<String>> {
        let text = environment::variable(name).filter(|text| !text.is_empty());
        text.map(Zeroizing::new).ok_or_else(|| Error::misuse(format!("the variable `{name}` is not set")))
    }

    pub(crate) fn public(&self) -> Result<PublicKey> {
        match self {
            Self::File(path) => PublicKey::read(path),
            Self::Variable(name) => {
                let key = PublicKey::from_pem(Self::variable(name)?.as_bytes());
                key.context(|| format!("read the public key in `{name}`"))
            }
        }
    }

    /// The private key as it is kept; asks for its password where it has one.
    pub(crate) fn kept(&self, password: &PasswordArgs, report: &Report) -> Result<PrivateKey> {
        let ask = || password.known_or_typed(false, report);
        match self {
            Self::File(path) => PrivateKey::read(path, &ask),
            Self::Variable(name) => {
                let key = PrivateKey::from_pem(Self::variable(name)?.as_bytes(), &ask);
                key.context(|| format!("read the key in `{name}`"))
            }
        }
    }

    /// The private key to sign with; warns where others can use it.
    pub(crate) fn private(&self, password: &PasswordArgs, report: &Report) -> Result<PrivateKey> {
        let key = self.kept(password, report)?;
        if !key.was_encrypted() {
            report.warn("this key is not encrypted: who can read it can sign; `artifact keygen --import` encrypts it");
        } else if let Self::File(path) = self
            && std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
        {
            report
                .warn(format!("other users can read the key `{}`: `chmod 600` keeps it to its owner", path.display()));
        }
        Ok(key)
    }

    /// The private key, read while this work is done: its password takes a third of a second. Where the password is typed,
    /// the key comes first.
    pub(crate) async fn private_during<T>(
        &self,
        password: &PasswordArgs,
        report: &Report,
        work: impl Future<Output = T>,
    ) -> Result<(PrivateKey, T)> {
        if password.is_typed() {
            return Ok((self.private(password, report)?, work.await));
        }
        let (source, password, report) = (self.clone(), password.clone(), report.clone());
        let key = tokio::task::spawn_blocking(move || source.private(&password, &report));
        let key = async { key.await.map_err(|e| Error::new(Kind::Internal, e.to_string()))? };
        tokio::try_join!(key, async { Ok(work.await) })
    }
}

/// Where the password of a key is.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct PasswordArgs {
    /// The key's password [default: COSIGN_PASSWORD, else typed]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordArgs {
    fn is_typed(&self) -> bool {
        self.password_file.is_none() && environment::variable(PASSWORD).is_none() && std::io::stdin().is_terminal()
    }

    /// The password: from the file, the variable, or the terminal; for a new key, typed twice.
    pub(crate) fn known_or_typed(&self, is_new: bool, report: &Report) -> Result<Zeroizing<String>> {
        if let Some(path) = &self.password_file {
            let read =
                artifact::fs::read_text(path, MAX_PASSWORD).map_err(Error::of_configuration).map(Zeroizing::new)?;
            return Ok(Zeroizing::new(read.trim_end_matches(['\n', '\r']).to_owned()));
        }
        if let Some(password) = environment::variable(PASSWORD) {
            return Ok(Zeroizing::new(password));
        }
        if !std::io::stdin().is_terminal() {
            let message = format!(
                "the key has a password, and there is no terminal: set `{PASSWORD}`, or give `--password-file`"
            );
            return Err(Error::misuse(message));
        }
        // Nothing is drawn over the prompt.
        report.ended();
        let typed = prompt(if is_new { "Password for the new key: " } else { "Password of the key: " })?;
        if is_new && *prompt("The same again: ")? != *typed {
            return Err(Error::misuse("the two passwords differ"));
        }
        Ok(typed)
    }
}

fn prompt(text: &str) -> Result<Zeroizing<String>> {
    rpassword::prompt_password(text).map(Zeroizing::new).context(|| "cannot read the password")
}
