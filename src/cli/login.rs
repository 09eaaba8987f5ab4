//! `artifact login` and `logout`: credentials, verified with the registry before they are stored.

use std::{fmt, process::ExitCode, sync::Arc};

use artifact::{
    Code, Error, Kind, Result, environment,
    error::Context as _,
    oci::RepositoryName,
    stores::registry::{Anonymous, AuthFiles, Greeting, Origin},
};
use serde_json::json;

use super::{report::Report, session::RegistryArgs};

/// Log in to a registry and store the credentials where Docker and podman find them too.
#[derive(Debug, clap::Args)]
pub(crate) struct LoginArgs {
    /// Registry, `host[:port]`; with a path, only the repositories below it: `host/group`
    #[arg(value_parser = target)]
    registry: Target,
    #[command(flatten)]
    options: RegistryArgs,
}

/// Remove the stored credentials of a registry.
#[derive(Debug, clap::Args)]
pub(crate) struct LogoutArgs {
    /// Registry, `host[:port]`; with a path, only the repositories below it: `host/group`
    #[arg(value_parser = target)]
    registry: Target,
    #[command(flatten)]
    options: RegistryArgs,
}

/// What credentials are for.
#[derive(Debug, Clone)]
struct Target {
    /// `host[:port]`
    registry: String,
    /// The first parts of the names of repositories; empty for all.
    repositories: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.registry)?;
        if self.repositories.is_empty() { Ok(()) } else { write!(f, "/{}", self.repositories) }
    }
}

/// Parses a target as people and documentation write it: with a scheme, and with a slash at the end.
fn target(text: &str) -> Result<Target> {
    let bare = ["https://", "oci://", "docker://"].into_iter().find_map(|scheme| text.strip_prefix(scheme));
    let bare = bare.unwrap_or(text);
    let bare = bare.strip_suffix('/').unwrap_or(bare);
    let (registry, path) = match bare.split_once('/') {
        // Neither a scheme nor what could be a password is taken apart.
        Some((registry, path)) if !registry.ends_with(':') && !bare.contains('@') => (registry, path),
        _ => (bare, ""),
    };
    if !path.is_empty() {
        path.parse::<RepositoryName>().map_err(Error::into_misuse)?;
    }
    Ok(Target { registry: registry.to_owned(), repositories: path.to_owned() })
}

pub(crate) async fn login(args: LoginArgs, report: &Report) -> Result<ExitCode> {
    let (target, registry) = (&args.registry, &args.registry.registry);
    let origin = origin(&args.options, registry, report)?;
    let credential = args.options.access.login(&origin)?;
    let client = args.options.context(report)?.client_with(registry, Arc::new(credential.clone()))?;
    let refused = |e: Error| if e.kind() == Kind::Unauthorized { e.with_code(Code::LoginRefused) } else { e };
    let greeting = client.ping().await.map_err(refused).context(|| format!("log in to {target}"))?;
    if greeting == Greeting::Open {
        report.warn(format!("{registry} requires no login; the credentials were not verified"));
    }
    let file = args.options.access.login_file()?;
    let files = AuthFiles::new(vec![file.clone()], environment::program_dirs());
    files.login(&credential, &target.repositories).await?;
    report.say(format!("logged in to {target}; credentials stored in {}", file.display()));
    report.result(None, &json!({ "registry": target.to_string(), "file": file }), &[])?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn logout(args: LogoutArgs, report: &Report) -> Result<ExitCode> {
    let target = &args.registry;
    let origin = origin(&args.options, &target.registry, report)?;
    let file = args.options.access.login_file()?;
    let files = AuthFiles::new(vec![file.clone()], environment::program_dirs());
    if !files.logout(&origin, &target.repositories).await? {
        return Err(Error::not_found(format!("no credentials for {target} in `{}`", file.display())));
    }
    report.say(format!("logged out of {target}"));
    report.result(None, &json!({ "registry": target.to_string(), "file": file }), &[])?;
    Ok(ExitCode::SUCCESS)
}

/// The origin that the credentials are for. The credentials file need not exist.
fn origin(options: &RegistryArgs, registry: &str, report: &Report) -> Result<Origin> {
    Ok(options.context(report)?.client_with(registry, Arc::new(Anonymous))?.origin().clone())
}
