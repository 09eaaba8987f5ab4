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

/// What a server means that ends the handshake, as far as its alert (RFC 8446 section 6.2) and what it asked for tell.
fn refused(host: &str, alert: AlertDescription, client_auth: ClientAuthUse) -> (String, Option<Code>) {
    use AlertDescription as A;
    let because = match alert {
        A::UnknownCA => ": its authority is not trusted there",
        A::CertificateExpired => ": it has expired",
        A::CertificateRevoked => ": it is revoked",
        A::CertificateRequired
        | A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateUnknown
        | A::DecryptError
        | A::AccessDenied
        // For want of a certificate in TLS 1.2.
        | A::HandshakeFailure => "",
        _ => return (format!("`{host}` ended the handshake: {alert:?}"), Some(Code::RefusedForGood)),
    };
    let (message, code) = match client_auth {
        ClientAuthUse::NotAsked => (format!("`{host}` ended the handshake: {alert:?}"), Code::RefusedForGood),
        ClientAuthUse::None => (format!("`{host}` requires a client certificate"), Code::ClientCertificateWanted),
        ClientAuthUse::NotForOthers => {
            let message = format!("`{host}` requires a client certificate, which only the registry itself is shown");
            (message, Code::RefusedForGood)
        }
        ClientAuthUse::Shown => {
            (format!("`{host}` refuses the client certificate{because}"), Code::ClientCertificateRefused)
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
            (A::HandshakeFailure, ClientAuthUse::None, "requires a client certificate", Code::ClientCertificateWanted),
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
