//! Tokens with a limited number of uses.

use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, Method, Uri, header};
use serde_json::json;

/// A token service, and the check for its tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    /// Number of uses of a token.
    uses: usize,
    /// Remaining uses of each issued token.
    issued: Mutex<Vec<usize>>,
}

/// The result of the check of a request.
pub(super) enum Gate {
    /// The request is allowed.
    Open,
    /// The request gets a token, in this document.
    Issued(String),
    /// The request has no valid token; the answer is this challenge.
    Asks(String),
}

impl Tokens {
    pub(super) fn new(uses: usize) -> Self {
        Self { uses, issued: Mutex::default() }
    }

    pub(super) fn gate(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Gate {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if uri.path() == "/token" && *method == Method::GET {
            issued.push(self.uses);
            return Gate::Issued(json!({"token": format!("t{}", issued.len()), "expires_in": 3600}).to_string());
        }
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let number: Option<usize> = text(header::AUTHORIZATION).strip_prefix("Bearer t").and_then(|n| n.parse().ok());
        if let Some(left) = number.and_then(|n| issued.get_mut(n.checked_sub(1)?)).filter(|left| **left > 0) {
            *left -= 1;
            return Gate::Open;
        }
        let host = text(header::HOST);
        let scope = repository(uri.path()).map(|name| format!(",scope=\"repository:{name}:pull,push\""));
        Gate::Asks(format!("Bearer realm=\"http://{host}/token\",service=\"faults\"{}", scope.unwrap_or_default()))
    }
}

/// The repository in a path.
fn repository(path: &str) -> Option<&str> {
    let path = path.strip_prefix("/v2/")?;
    let end = ["/manifests/", "/blobs/", "/tags/", "/referrers/"].iter().find_map(|part| path.find(part))?;
    path.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(tokens: &Tokens, path: &str, token: &str) -> Gate {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "here:1".parse().unwrap());
        headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        tokens.gate(&Method::GET, &path.parse().unwrap(), &headers)
    }

    #[test]
    fn a_token_opens_as_often_as_it_may() {
        let tokens = Tokens::new(2);
        for token in ["t0", "t1", "", "x"] {
            assert!(matches!(ask(&tokens, "/v2/a/b/manifests/v1", token), Gate::Asks(_)));
        }
        for n in [1, 2] {
            assert!(
                matches!(ask(&tokens, "/token?scope=x", ""), Gate::Issued(token) if token.contains(&format!("t{n}")))
            );
            assert!(matches!(ask(&tokens, "/v2/", &format!("t{n}")), Gate::Open));
            assert!(matches!(ask(&tokens, "/v2/", &format!("t{n}")), Gate::Open));
            let Gate::Asks(challenge) = ask(&tokens, "/v2/a/b/manifests/v1", &format!("t{n}")) else { panic!() };
            let scope = "scope=\"repository:a/b:pull,push\"";
            assert_eq!(challenge, format!("Bearer realm=\"http://here:1/token\",service=\"faults\",{scope}"));
        }
    }
}
