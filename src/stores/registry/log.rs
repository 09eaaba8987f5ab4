//! What the client says of its traffic, as events of `tracing`. All of it is here, so that one look tells that no secret is
//! among it: addresses lose their queries, of credentials the kind and the source are traffic, and errors are free of secrets
//! anyway.
//!
//! Where nobody listens, an event costs a look at a number: what it says is made behind that.

use std::{fmt::Display, time::Duration};

use http::{HeaderMap, Method, StatusCode, Version, header};
use url::Url;

use super::origins::origin::{HostTrust, Origin, redacted};
use crate::{error::Error, oci::Digest};

/// The target of all these events.
const TARGET: &str = "artifact::registry";

/// What is told of a credential: its kind, and where it comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct CredentialUse<'a> {
    pub(super) kind: &'static str,
    pub(super) from: Option<&'a str>,
}

/// What an exchange is about.
#[derive(Clone, Copy)]
pub(super) struct Exchange<'a> {
    pub(super) method: &'a Method,
    pub(super) url: &'a Url,
    pub(super) proxy: Option<&'a (dyn Display + Sync)>,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A request leaves, with a body of so many bytes.
pub(super) fn request(Exchange { method, url, proxy }: Exchange<'_>, bytes: u64, proof: Option<CredentialUse<'_>>) {
    tracing::debug!(
        target: TARGET, %method, url = redacted(url), bytes = (bytes > 0).then_some(bytes),
        proxy = proxy.map(tracing::field::display), credential = proof.map(|proof| proof.kind),
        from = proof.and_then(|proof| proof.from), "request"
    );
}

/// An answer begins.
pub(super) fn response(
    Exchange { method, url, proxy }: Exchange<'_>,
    status: StatusCode,
    version: Version,
    headers: &HeaderMap,
    took: Duration,
) {
    tracing::debug!(
        target: TARGET, status = status.as_u16(), ms = millis(took), bytes = length(headers), %method, url = redacted(url),
        proxy = proxy.map(tracing::field::display), version = ?version, "response"
    );
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// No answer came.
pub(super) fn no_answer(Exchange { method, url, .. }: Exchange<'_>, error: &Error, took: Duration) {
    tracing::debug!(target: TARGET, ms = millis(took), %method, url = redacted(url), why = %error, "no answer");
}

/// A redirect is followed; `trust` is of where it leads.
pub(super) fn redirect(status: StatusCode, from: &Url, to: &str, trust: HostTrust) {
    let trust = match trust {
        HostTrust::Own => "the registry itself",
        HostTrust::Trusted => "trusted",
        HostTrust::Foreign => "foreign: public https only, no credentials",
    };
    tracing::debug!(target: TARGET, status = status.as_u16(), from = redacted(from), to, trust, "redirect");
}

/// Something failed, and is tried again after a wait.
pub(super) fn retry(why: &Error, wait: Duration) {
    tracing::debug!(target: TARGET, why = %why, wait_ms = millis(wait), "retry");
}

/// A kept connection was closed: the same is asked over another at once.
pub(super) fn stale(why: &Error) {
    tracing::debug!(target: TARGET, why = %why, "retry at once: the connection was closed");
}

/// What was found when the registry asked who we are.
pub(super) fn credential(registry: &Origin, repository: &str, found: Option<(CredentialUse<'_>, Option<&str>)>) {
    match found {
        Some((CredentialUse { kind, from }, user)) => {
            tracing::debug!(target: TARGET, %registry, repository, kind, user, from, "credentials found");
        }
        None => tracing::debug!(target: TARGET, %registry, repository, "no credentials found"),
    }
}

/// A token service gave a token.
pub(super) fn token(registry: &Origin, realm: &Url, scopes: &[String], login: Option<CredentialUse<'_>>) {
    tracing::debug!(
        target: TARGET, %registry, realm = redacted(realm), scope = scopes.join(" "),
        credential = login.map_or("none", |login| login.kind), from = login.and_then(|login| login.from), "token fetched"
    );
}

/// A mirror is asked before the registry.
pub(super) fn mirror(mirror: &dyn Display) {
    tracing::debug!(target: TARGET, %mirror, "ask a mirror");
}

/// A mirror had no answer.
pub(super) fn mirror_failed(mirror: &dyn Display, why: &Error) {
    tracing::debug!(target: TARGET, %mirror, %why, "the mirror failed");
}

/// A download goes on from where it was.
pub(super) fn resumed(digest: &Digest, at: u64) {
    tracing::debug!(target: TARGET, %digest, at, "download resumed");
}

/// What became of an upload: `opened`, `stored` or `cancelled`.
pub(super) fn upload(place: &Url, what: &'static str) {
    tracing::debug!(target: TARGET, url = redacted(place), "upload {what}");
}
