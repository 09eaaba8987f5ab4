//! Failures of TLS, in words.

use rustls::{AlertDescription, CertificateError, pki_types::UnixTime};

use super::{
    client_auth::ClientAuthUse,
    roots::{is_authority, is_version_1},
    trust::{AuthoritiesMissing, OtherServersGiven},
};
use crate::error::{Code, Error, Kind};

/// Format of times in messages.
const TIME: &str = "%Y-%m-%d %H:%M UTC";

/// `io::Error::source` skips the error that it wraps, so this searches for it at any depth.
pub(in crate::stores::registry) fn cause<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a rustls::Error> {
    match error.downcast_ref::<std::io::Error>() {
        Some(io) => cause(io.get_ref()?),
        None => error.downcast_ref(),
    }
}

/// Explains a failure of TLS with this host, as messages show it.
pub(in crate::stores::registry) fn failed(
    what: &str,
    host: &str,
    error: &rustls::Error,
    client_auth: ClientAuthUse,
) -> Error {
    let (message, code) = match error {
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
            (format!("`{host}` answers in plain http, not https"), Some(Code::PlainHttpAnswered))
        }
        rustls::Error::InvalidCertificate(why) => {
            (format!("the certificate of `{host}` is not trusted: {}", unfit(why)), Some(code_of(why)))
        }
        rustls::Error::AlertReceived(alert) => refused(host, *alert, client_auth),
        other => (format!("https with `{host}` failed: {other}"), None),
    };
    code.into_iter().fold(Error::new(Kind::Unreachable, format!("{what}: {message}")), Error::with_code)
}

/// What a server means that ends the handshake, as far as its alert (RFC 8446 section 6.2) tells, and whether servers like it
/// have asked for a client certificate.
fn refused(host: &str, alert: AlertDescription, client_auth: ClientAuthUse) -> (String, Option<Code>) {
    use AlertDescription as A;
    let ended = format!("`{host}` ended the handshake: {alert:?}");
    let (certain, because) = match alert {
        A::UnknownCA => (true, ": its authority is not trusted there"),
        A::CertificateExpired => (true, ": it has expired"),
        A::CertificateRevoked => (true, ": it is revoked"),
        A::CertificateRequired | A::BadCertificate | A::CertificateUnknown | A::UnsupportedCertificate => (true, ""),
        // These have other reasons, too. The last is for want of a certificate in TLS 1.2.
        A::AccessDenied | A::DecryptError | A::HandshakeFailure => (false, ""),
        _ => return (ended, Some(Code::RefusedForGood)),
    };
    let requires = match certain {
        true => format!("`{host}` requires a client certificate"),
        false => format!("{ended}; perhaps it requires a client certificate"),
    };
    let (message, code) = match client_auth {
        ClientAuthUse::NotAsked => (ended, Code::RefusedForGood),
        ClientAuthUse::None => (requires, Code::ClientCertificateWanted),
        ClientAuthUse::NotForOthers => {
            (format!("{requires}, which only the registry itself is shown"), Code::RefusedForGood)
        }
        ClientAuthUse::Shown if certain => {
            (format!("`{host}` refuses the client certificate{because}"), Code::ClientCertificateRefused)
        }
        ClientAuthUse::Shown => {
            (format!("{ended}; perhaps it refuses the client certificate"), Code::ClientCertificateRefused)
        }
    };
    (message, Some(code))
}

fn code_of(why: &CertificateError) -> Code {
    use CertificateError as E;
    match why {
        E::Expired | E::ExpiredContext { .. } | E::NotValidYet | E::NotValidYetContext { .. } => {
            Code::CertificateNotNow
        }
        E::NotValidForNameContext { presented, .. } if presented.is_empty() => Code::CertificateNamesNoHost,
        E::NotValidForName | E::NotValidForNameContext { .. } => Code::CertificateForAnother,
        _ if is_version_1(why) => Code::CertificateNamesNoHost,
        _ => Code::CertificateNotTrusted,
    }
}

fn unfit(why: &CertificateError) -> String {
    if let CertificateError::Other(other) = why
        && let Some(AuthoritiesMissing(missing)) = other.0.downcast_ref()
    {
        return format!("it is not signed by a trusted authority; {missing}");
    }
    let now = format!("this machine's clock says {}", jiff::Timestamp::now().strftime(TIME));
    match why {
        CertificateError::ExpiredContext { not_after, .. } => format!("it expired on {}; {now}", time(*not_after)),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("it is not valid before {}; {now}", time(*not_before))
        }
        CertificateError::UnknownIssuer => "it is not signed by a trusted authority".into(),
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "it names no host in `subjectAltName`; its common name does not count".into()
        }
        CertificateError::Other(other) if other.0.is::<OtherServersGiven>() => {
            "it is not signed by a trusted authority, and not itself trusted; of the trusted certificates, one without \
             `CA:TRUE` counts for itself only"
                .into()
        }
        _ if is_version_1(why) => "it is of X.509 version 1, in which no host is named".into(),
        _ if is_authority(why) => "it is an authority's certificate (`CA:TRUE`) and is not itself trusted".into(),
        _ => why.to_string(),
    }
}

fn time(time: UnixTime) -> String {
    let time = i64::try_from(time.as_secs()).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "an invalid date".into(), |time| time.strftime(TIME).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_about_the_client_certificate_only_if_the_server_asked_for_one() {
        use AlertDescription as A;
        for (alert, client_auth, words, code) in [
            (
                A::CertificateRequired,
                ClientAuthUse::None,
                "requires a client certificate",
                Code::ClientCertificateWanted,
            ),
            (A::BadCertificate, ClientAuthUse::None, "`a.test` requires", Code::ClientCertificateWanted),
            (
                A::HandshakeFailure,
                ClientAuthUse::None,
                "HandshakeFailure; perhaps it requires a client certificate",
                Code::ClientCertificateWanted,
            ),
            (A::AccessDenied, ClientAuthUse::NotForOthers, "perhaps it requires", Code::RefusedForGood),
            (
                A::DecryptError,
                ClientAuthUse::Shown,
                "DecryptError; perhaps it refuses the client certificate",
                Code::ClientCertificateRefused,
            ),
            (A::BadCertificate, ClientAuthUse::NotForOthers, "only the registry itself is shown", Code::RefusedForGood),
            (A::UnknownCA, ClientAuthUse::Shown, "its authority is not trusted", Code::ClientCertificateRefused),
            (A::CertificateExpired, ClientAuthUse::Shown, "it has expired", Code::ClientCertificateRefused),
            (A::HandshakeFailure, ClientAuthUse::NotAsked, "ended the handshake", Code::RefusedForGood),
            (A::ProtocolVersion, ClientAuthUse::Shown, "ended the handshake: ProtocolVersion", Code::RefusedForGood),
        ] {
            let error = failed("GET x", "a.test", &rustls::Error::AlertReceived(alert), client_auth);
            assert_eq!(error.code(), Some(code), "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
