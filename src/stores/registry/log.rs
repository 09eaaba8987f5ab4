//! The traffic of the client as events of `tracing`. All events are in this file, so that a reader can check what they
//! show: addresses are without their queries, of credentials only kind and source are shown, and errors hold no secret.
//!
//! Without a subscriber, an event costs one comparison; its fields are made after that.

use std::{fmt::Display, time::Duration};

use http::{HeaderMap, Method, StatusCode, Version, header};

use super::origins::{
    address::Address,
    origin::{HostTrust, Origin},
};
use crate::{error::Error, oci::Digest};

/// The target of all these events.
const TARGET: &str = "artifact::registry";

/// The kind of a credential and its source.
#[derive(Debug, Clone, Copy)]
pub(super) struct CredentialUse<'a> {
    pub(super) kind: &'static str,
    pub(super) from: Option<&'a str>,
}

/// A request on its way.
#[derive(Clone, Copy)]
pub(super) struct Exchange<'a> {
    pub(super) method: &'a Method,
    pub(super) address: &'a Address,
    pub(super) proxy: Option<&'a (dyn Display + Sync)>,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A request is sent, with a body of this length.
pub(super) fn request(
    Exchange { method, address, proxy }: Exchange<'_>,
    bytes: u64,
    credential: Option<CredentialUse<'_>>,
) {
    tracing::debug!(
        target: TARGET, %method, url = %address, bytes = (bytes > 0).then_some(bytes),
        proxy = proxy.map(tracing::field::display), credential = credential.map(|credential| credential.kind),
        from = credential.and_then(|credential| credential.from), "request"
    );
}

/// The head of a response has arrived.
pub(super) fn response(
    Exchange { method, address, proxy }: Exchange<'_>,
    status: StatusCode,
    version: Version,
    headers: &HeaderMap,
    took: Duration,
) {
    tracing::debug!(
        target: TARGET, status = status.as_u16(), ms = millis(took), bytes = length(headers), %method, url = %address,
        proxy = proxy.map(tracing::field::display), version = ?version, "response"
    );
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The request failed without a response.
pub(super) fn no_answer(Exchange { method, address, .. }: Exchange<'_>, error: &Error, took: Duration) {
    tracing::debug!(target: TARGET, ms = millis(took), %method, url = %address, why = %error, "no answer");
}

/// A redirect is followed to a host of this trust.
pub(super) fn redirect(status: StatusCode, from: &Address, to: &Address, trust: HostTrust) {
    let trust = match trust {
        HostTrust::Own => "the registry itself",
        HostTrust::Trusted => "trusted",
        HostTrust::Foreign => "foreign: public https only, no credentials",
    };
    tracing::debug!(target: TARGET, status = status.as_u16(), %from, %to, trust, "redirect");
}

/// A request failed, and is sent again after a wait.
pub(super) fn retry(why: &Error, wait: Duration) {
    tracing::debug!(target: TARGET, why = %why, wait_ms = millis(wait), "retry");
}

/// A kept connection was closed: the request is sent over another one at once.
pub(super) fn stale(why: &Error) {
    tracing::debug!(target: TARGET, why = %why, "retry at once: the connection was closed");
}

/// The credentials for a registry that asked for some.
pub(super) fn credential(registry: &Origin, repository: &str, found: Option<(CredentialUse<'_>, Option<&str>)>) {
    match found {
        Some((CredentialUse { kind, from }, user)) => {
            tracing::debug!(target: TARGET, %registry, repository, kind, user, from, "credentials found");
        }
        None => tracing::debug!(target: TARGET, %registry, repository, "no credentials found"),
    }
}

/// A token service issued a token.
pub(super) fn token(registry: &Origin, realm: &Address, scopes: &[String], login: Option<CredentialUse<'_>>) {
    tracing::debug!(
        target: TARGET, %registry, %realm, scope = scopes.join(" "),
        credential = login.map_or("none", |login| login.kind), from = login.and_then(|login| login.from), "token fetched"
    );
}

/// A mirror is tried before the registry.
pub(super) fn mirror(mirror: &dyn Display) {
    tracing::debug!(target: TARGET, %mirror, "ask a mirror");
}

/// A mirror failed.
pub(super) fn mirror_failed(mirror: &dyn Display, why: &Error) {
    tracing::debug!(target: TARGET, %mirror, %why, "the mirror failed");
}

/// A download continues at this offset.
pub(super) fn resumed(digest: &Digest, at: u64) {
    tracing::debug!(target: TARGET, %digest, at, "download resumed");
}

/// An upload was `opened`, `stored` or `cancelled`.
pub(super) fn upload(place: &Address, what: &'static str) {
    tracing::debug!(target: TARGET, url = %place, "upload {what}");
}
