//! `artifact login` and `logout`: credentials, verified with the registry before they are stored.

use std::{process::ExitCode, sync::Arc};

use artifact::{
    Code, Error, Kind, Result, environment,
    error::Context as _,
    stores::registry::{Anonymous, AuthFiles, Greeting, Origin},
};
use serde_json::json;

use super::{report::Report, session::RegistryArgs};

/// Log in to a registry and store the credentials where Docker and podman find them too.
#[derive(Debug, clap::Args)]
pub(crate) struct LoginArgs {
    /// Registry, `host[:port]`
    registry: String,
    #[command(flatten)]
    options: RegistryArgs,
}

/// Remove the stored credentials of a registry.
#[derive(Debug, clap::Args)]
pub(crate) struct LogoutArgs {
    /// Registry, `host[:port]`
    registry: String,
    #[command(flatten)]
    options: RegistryArgs,
}

pub(crate) async fn login(args: LoginArgs, report: &Report) -> Result<ExitCode> {
    let origin = origin(&args.options, &args.registry, report)?;
    let credential = args.options.access.login(&origin)?;
    let client = args.options.context(report)?.client_with(&args.registry, Arc::new(credential.clone()))?;
    let refused = |e: Error| if e.kind() == Kind::Unauthorized { e.with_code(Code::LoginRefused) } else { e };
    let greeting = client.ping().await.map_err(refused).context(|| format!("log in to {}", args.registry))?;
    if greeting == Greeting::Open {
        report.warn(format!("{} requires no login; the credentials were not verified", args.registry));
    }
    let file = args.options.access.login_file()?;
    AuthFiles::new(vec![file.clone()], environment::program_dirs()).login(&credential).await?;
    report.say(format!("logged in to {}; credentials stored in {}", args.registry, file.display()));
    report.result(None, &json!({ "registry": args.registry, "file": file }), &[])?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn logout(args: LogoutArgs, report: &Report) -> Result<ExitCode> {
    let origin = origin(&args.options, &args.registry, report)?;
    let file = args.options.access.login_file()?;
    if !AuthFiles::new(vec![file.clone()], environment::program_dirs()).logout(&origin).await? {
        return Err(Error::not_found(format!("no credentials for {} in `{}`", args.registry, file.display())));
    }
    report.say(format!("logged out of {}", args.registry));
    report.result(None, &json!({ "registry": args.registry, "file": file }), &[])?;
    Ok(ExitCode::SUCCESS)
}

/// The origin that the credentials are for. The credentials file need not exist.
fn origin(options: &RegistryArgs, registry: &str, report: &Report) -> Result<Origin> {
    Ok(options.context(report)?.client_with(registry, Arc::new(Anonymous))?.origin().clone())
}
