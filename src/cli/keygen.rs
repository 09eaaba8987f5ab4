//! `artifact keygen`: keys to sign with.

use std::{path::PathBuf, process::ExitCode};

use artifact::{
    Result,
    sign::{PrivateKey, key::Pair},
};
use serde_json::json;

use super::{
    keys::{KeySource, PasswordArgs},
    report::Report,
    text::escape,
};

/// Make a pair of keys to sign with.
///
/// Writes `PREFIX.key`, encrypted with a password as cosign does it, and `PREFIX.pub`, for those who verify. Both files
/// are written, or none.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// First part of the names of both files
    #[arg(default_value = "cosign")]
    prefix: PathBuf,
    /// Take this private key (PKCS#8, SEC1, PKCS#1, or cosign's form) instead of making one; if it has a password, that is
    /// COSIGN_PASSWORD, else typed
    #[arg(long, value_name = "FILE")]
    import: Option<KeySource>,
    /// Write no files; print the public half of this private key
    #[arg(long, value_name = "KEY", conflicts_with_all = ["import", "force", "prefix"])]
    public: Option<KeySource>,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    password: PasswordArgs,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    if let Some(source) = &args.public {
        let key = source.kept(&args.password, report)?;
        let pem = key.public().to_pem();
        let json = json!({ "publicKey": pem, "fingerprint": key.public().fingerprint() });
        report.result(None, &json, &[pem.trim_end().to_owned()])?;
        return Ok(ExitCode::SUCCESS);
    }
    let pair = Pair::new(&args.prefix);
    if !args.force {
        pair.check_absent()?;
    }
    let key = match &args.import {
        Some(source) => source.kept(&PasswordArgs::default(), report)?,
        None => PrivateKey::generate()?,
    };
    let password = args.password.known_or_typed(true, report)?;
    if password.is_empty() {
        report.warn("the password is empty: who can read the key can sign");
    }
    pair.write(&key, &password, args.force)?;
    let (private, public) = (pair.private.display().to_string(), pair.public.display().to_string());
    report.say(format!("{} key {}", key.public().algorithm().name(), key.public().fingerprint()));
    let json = json!({ "private": private, "public": public, "fingerprint": key.public().fingerprint() });
    report.result(None, &json, &[escape(&private), escape(&public)])?;
    Ok(ExitCode::SUCCESS)
}
