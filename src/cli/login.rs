//! `artifact login` and `logout`: credentials, proved against the registry before they are kept.

use std::{
    io::{IsTerminal as _, Read as _, Write as _},
    process::ExitCode,
    sync::Arc,
};

use artifact::{
    Error, Result,
    error::Context as _,
    stores::registry::{AuthFiles, Credential, Greeting},
};
use serde_json::json;

use super::{environment, report::Report, session::RegistryArgs};

/// Longest password that is read, in bytes.
const MAX_PASSWORD: u64 = 64 << 10;

/// Log in to a registry and keep the credentials where Docker and podman find them too.
#[derive(Debug, clap::Args)]
pub(crate) struct LoginArgs {
    /// `host[:port]`
    registry: String,
    /// The user's name; asked for when it is not given
    #[arg(short, long)]
    username: Option<String>,
    /// Read the password from stdin
    #[arg(long, requires = "username")]
    password_stdin: bool,
    #[command(flatten)]
    options: RegistryArgs,
}

/// Forget the credentials of a registry.
#[derive(Debug, clap::Args)]
pub(crate) struct LogoutArgs {
    /// `host[:port]`
    registry: String,
    #[command(flatten)]
    options: RegistryArgs,
}

pub(crate) async fn login(args: LoginArgs, report: &Report) -> Result<ExitCode> {
    let origin = args.options.client(&args.registry, report)?.origin().clone();
    let (username, password) = ask(&args)?;
    let credential = Credential::password(&origin, username, password)?;
    let client = args.options.client_with(&args.registry, Arc::new(credential.clone()), report)?;
    if client.ping().await.context(|| format!("log in to {}", args.registry))? == Greeting::Open {
        report.warn(format!("{} lets everybody in; the credentials were not looked at", args.registry));
    }
    let file = args.options.login_file()?;
    AuthFiles::new(vec![file.clone()], environment::program_dirs()).login(&credential).await?;
    report.say(format!("logged in to {}; kept by {}", args.registry, file.display()));
    report.result(None, &json!({ "registry": args.registry, "file": file }), &[])?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn logout(args: LogoutArgs, report: &Report) -> Result<ExitCode> {
    let origin = args.options.client(&args.registry, report)?.origin().clone();
    let file = args.options.login_file()?;
    if !AuthFiles::new(vec![file.clone()], environment::program_dirs()).logout(&origin).await? {
        return Err(Error::not_found(format!("no credentials for {} in `{}`", args.registry, file.display())));
    }
    report.say(format!("logged out of {}", args.registry));
    report.result(None, &json!({ "registry": args.registry, "file": file }), &[])?;
    Ok(ExitCode::SUCCESS)
}

/// User name and password, from the flags, stdin or the terminal.
fn ask(args: &LoginArgs) -> Result<(String, String)> {
    let terminal = std::io::stdin().is_terminal();
    if !args.password_stdin && !terminal {
        return Err(Error::misuse("no terminal to ask for the password; `--password-stdin` reads it from stdin"));
    }
    let username = match &args.username {
        Some(name) => name.clone(),
        None => prompt("Username: ")?,
    };
    let password = if args.password_stdin {
        let mut text = String::new();
        std::io::stdin().take(MAX_PASSWORD).read_to_string(&mut text).context(|| "cannot read the password")?;
        text.trim_end_matches(['\n', '\r']).to_owned()
    } else {
        rpassword::prompt_password("Password: ").context(|| "cannot read the password")?
    };
    if password.is_empty() {
        return Err(Error::misuse("the password is empty"));
    }
    Ok((username, password))
}

fn prompt(question: &str) -> Result<String> {
    let mut err = std::io::stderr().lock();
    err.write_all(question.as_bytes()).and_then(|()| err.flush()).context(|| "cannot ask")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context(|| "cannot read the answer")?;
    Ok(answer.trim().to_owned())
}
