//! What scripts that were written for cosign say to `sign`, `attest` and `verify`: taken where it changes nothing, else
//! refused by name.

use artifact::{Error, Result};

use super::report::Format;

/// Flags of cosign's for signing.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct SigningFlags {
    /// Nothing is asked.
    #[arg(short = 'y', hide = true)]
    y: bool,
    #[command(flatten)]
    services: Services,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    tlog_upload: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    use_signing_config: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    new_bundle_format: Option<bool>,
}

/// Flags that name a service.
#[derive(Debug, Clone, Default, clap::Args)]
struct Services {
    #[arg(long, hide = true, value_name = "URL")]
    rekor_url: Option<String>,
    #[arg(long, hide = true, value_name = "URL")]
    fulcio_url: Option<String>,
    #[arg(long, hide = true, value_name = "URL")]
    timestamp_server_url: Option<String>,
    #[arg(long, hide = true, value_name = "TOKEN")]
    identity_token: Option<String>,
    #[arg(long, hide = true, value_name = "FILE")]
    signing_config: Option<String>,
    #[arg(long, hide = true, value_name = "URL")]
    oidc_issuer: Option<String>,
    #[arg(long, hide = true)]
    sk: bool,
}

impl SigningFlags {
    /// Errors: kind `Misuse` for what would need a service.
    pub(crate) fn check(&self) -> Result<()> {
        let Services { rekor_url, fulcio_url, timestamp_server_url, identity_token, signing_config, oidc_issuer, sk } =
            &self.services;
        let named = [
            ("--rekor-url", rekor_url.is_some()),
            ("--fulcio-url", fulcio_url.is_some()),
            ("--timestamp-server-url", timestamp_server_url.is_some()),
            ("--identity-token", identity_token.is_some()),
            ("--signing-config", signing_config.is_some()),
            ("--oidc-issuer", oidc_issuer.is_some()),
            ("--sk", *sk),
            ("--tlog-upload", self.tlog_upload == Some(true)),
            ("--use-signing-config", self.use_signing_config == Some(true)),
        ];
        let found = named.into_iter().find(|(_, given)| *given);
        found.map_or(Ok(()), |(flag, _)| {
            Err(Error::misuse(format!("`{flag}` needs a service; artifact signs with a key alone, and asks none")))
        })
    }

    /// Whether the format of before is asked for, or the one of now.
    pub(crate) fn new_bundle_format(&self) -> Option<bool> {
        self.new_bundle_format
    }
}

/// Flags of cosign's for verifying.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct VerifyingFlags {
    /// Nothing is asked over the network anyway.
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    offline: Option<bool>,
    /// Certificates need no entry in a log, but then a timestamp.
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    insecure_ignore_tlog: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    private_infrastructure: Option<bool>,
    /// `--format` by its name there.
    #[arg(long, short = 'o', hide = true, value_name = "FORMAT", conflicts_with = "format")]
    output: Option<Format>,
}

impl VerifyingFlags {
    /// What stdout gets.
    pub(crate) fn output(&self) -> Option<Format> {
        self.output
    }

    /// Whether log entries are not asked for.
    pub(crate) fn no_log(&self) -> bool {
        self.insecure_ignore_tlog == Some(true) || self.private_infrastructure == Some(true)
    }
}
