//! Failures of requests without a response, or with an unreadable one.

use std::io;

use super::failure::Failure;
use crate::{
    error::{Code, Error, Kind},
    stores::registry::net::{
        ClientAuthUse,
        pool::{ClientError, MAX_HEADER_BYTES, MAX_HEADERS},
        tls_failure as tls,
    },
};

/// The failure of a request without a response, explained by its chain of causes. `host`: as
/// messages show it. `known`: this origin has answered before, so that a refused connection is taken for a server restart.
pub(super) fn no_answer(
    what: &str,
    host: &str,
    error: ClientError,
    known: bool,
    client_auth: ClientAuthUse,
) -> Failure {
    let (connecting, mut malformed, mut too_large, mut code) = (error.is_connect(), false, false, None);
    let mut cause: &(dyn std::error::Error + 'static) = &error;
    loop {
        if let Some(error) = tls::cause(cause) {
            return Failure::Final(tls::failed(what, host, error, client_auth));
        }
        malformed |= cause.downcast_ref().is_some_and(hyper::Error::is_parse);
        too_large |= cause.downcast_ref().is_some_and(is_too_large);
        code = code.or_else(|| code_of(cause));
        match cause.source() {
            Some(next) => cause = next,
            None => break,
        }
    }
    if too_large {
        return Failure::Final(too_many_headers(what));
    }
    let kind = if connecting { Kind::Unreachable } else { Kind::Unavailable };
    let verb = if connecting { "cannot reach" } else { "no answer from" };
    let error = Error::new(kind, format!("{what}: {verb} `{host}`: {cause}"));
    let error = code.into_iter().fold(error, Error::with_code);
    let broke = cause
        .downcast_ref()
        .is_some_and(|e: &io::Error| matches!(e.kind(), io::ErrorKind::TimedOut | io::ErrorKind::ConnectionReset));
    if malformed || connecting && !known && !broke {
        return Failure::Final(error);
    }
    Failure::Passing { error, asked: None, stale: known && !connecting, quota: false }
}

/// True if the head of the response exceeds our limit. hyper has a method for this only in builds with its server.
fn is_too_large(error: &hyper::Error) -> bool {
    error.is_parse() && error.to_string() == "message head is too large"
}

/// The code of one of our errors inside a connection error; `io::Error::source` skips the error that it wraps.
fn code_of(cause: &(dyn std::error::Error + 'static)) -> Option<Code> {
    match cause.downcast_ref::<io::Error>() {
        Some(io) => code_of(io.get_ref()?),
        None => cause.downcast_ref::<Error>()?.code(),
    }
}

/// The error for headers beyond the limit.
pub(super) fn too_many_headers(what: &str) -> Error {
    Error::limit(format!(
        "{what}: answered with more than {MAX_HEADER_BYTES} bytes of headers or {MAX_HEADERS} headers"
    ))
}
