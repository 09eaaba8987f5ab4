//! Who may make requests: all clients, one user, or those in an htpasswd file.

use std::{fmt, net::IpAddr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, header};

use super::{htpasswd::Htpasswd, reply::Refusal};
use crate::{error::ServerCode, oci::Digest};

/// Who may make requests.
#[derive(Debug, Clone, Default)]
pub enum Access {
    /// All clients.
    #[default]
    Open,
    /// One user.
    User(Credentials),
    /// The users in an htpasswd file.
    Htpasswd(Htpasswd),
}

/// A user name and a password (HTTP basic authentication).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name; without a colon.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, …)", self.user)
    }
}

impl Access {
    /// Refuses a request without the right user name and password. All failures look alike.
    pub(super) async fn check(&self, headers: &HeaderMap, client: Option<IpAddr>) -> Result<(), Refusal> {
        let permitted = match self {
            Self::Open => true,
            Self::User(expected) => {
                let expected = format!("{}:{}", expected.user, expected.password);
                are_same(&given(headers).unwrap_or_default(), expected.as_bytes())
            }
            Self::Htpasswd(users) => match given(headers) {
                Some(given) => users.check(&given, client).await.ok_or_else(Refusal::busy)?,
                None => false,
            },
        };
        if permitted {
            return Ok(());
        }
        Err(Refusal::new(ServerCode::Unauthorized, "this registry requires a user name and password")
            .header(header::WWW_AUTHENTICATE, "Basic realm=\"artifact\", charset=\"UTF-8\""))
    }
}

/// Compares complete digests of both texts, so that the time reveals nothing about them.
fn are_same(given: &[u8], expected: &[u8]) -> bool {
    let (given, expected) = (Digest::of(given), Digest::of(expected));
    let difference = given.as_bytes().iter().zip(expected.as_bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(difference) == 0
}

/// `user:password` from a basic `Authorization` header.
fn given(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then(|| BASE64_STANDARD.decode(rest.trim()).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_opens() {
        let access = Access::User(Credentials { user: "me".into(), password: "p:w".into() });
        let check = async |text: &str| {
            let mut headers = HeaderMap::new();
            if !text.is_empty() {
                headers.insert(header::AUTHORIZATION, text.parse().unwrap());
            }
            access.check(&headers, None).await.is_ok()
        };
        let encode = |text: &str| BASE64_STANDARD.encode(text);
        assert!(check(&format!("Basic {}", encode("me:p:w"))).await);
        assert!(check(&format!("basic {}", encode("me:p:w"))).await);
        for bad in ["me:p", "me:p:w2", "you:p:w", ":", ""] {
            assert!(!check(&format!("Basic {}", encode(bad))).await, "{bad}");
        }
        for bad in ["Bearer x", "Basic ***", ""] {
            assert!(!check(bad).await, "{bad}");
        }
        assert!(!format!("{access:?}").contains("p:w"));
    }
}
