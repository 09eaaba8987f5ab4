//! `WWW-Authenticate`, parsed within limits: the authentication that a registry demands (RFC 9110 section 11.6.1).

use http::{HeaderMap, header};

/// Longest header that is parsed, in bytes.
const MAX_HEADER: usize = 8 << 10;
/// Most challenges that are parsed.
const MAX_CHALLENGES: usize = 16;
/// Most parameters of one challenge.
const MAX_PARAMETERS: usize = 32;

/// An authentication scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stores::registry) enum Challenge {
    /// User name and password with every request.
    Basic,
    /// A token from a token service.
    Bearer {
        /// The URL of the token service, as given.
        realm: String,
        /// The service that the token is for.
        service: Option<String>,
        /// The scope of the token.
        scope: Option<String>,
    },
}

/// The best supported challenge: Bearer before Basic.
pub(in crate::stores::registry) fn best(headers: &HeaderMap) -> Option<Challenge> {
    let mut found = Vec::new();
    for value in headers.get_all(header::WWW_AUTHENTICATE) {
        if value.len() <= MAX_HEADER
            && let Ok(text) = value.to_str()
        {
            found.extend(parse(text));
        }
        if found.len() >= MAX_CHALLENGES {
            break;
        }
    }
    let bearer = found.iter().find(|c| matches!(c, Challenge::Bearer { .. })).cloned();
    bearer.or_else(|| found.into_iter().next())
}

/// All supported challenges of one header; malformed and unknown ones are skipped.
fn parse(text: &str) -> Vec<Challenge> {
    let mut rest = Rest(text);
    let mut all = Vec::new();
    for _ in 0..MAX_CHALLENGES {
        rest.skip(", \t");
        let scheme = rest.token().to_ascii_lowercase();
        if scheme.is_empty() {
            break;
        }
        let Some(parameters) = rest.parameters() else { break };
        let get = |name: &str| parameters.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        match scheme.as_str() {
            "basic" => all.push(Challenge::Basic),
            "bearer" => all.extend(get("realm").filter(|realm| !realm.is_empty()).map(|realm| Challenge::Bearer {
                realm,
                service: get("service"),
                scope: get("scope"),
            })),
            _ => {}
        }
    }
    all
}

/// The unparsed rest.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn skip(&mut self, these: &str) {
        self.0 = self.0.trim_start_matches(|c| these.contains(c));
    }

    fn token(&mut self) -> String {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.0.find(|c| !is_token(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        token.to_owned()
    }

    /// `name=value` pairs up to the next scheme; names in lower case. `None` if malformed.
    fn parameters(&mut self) -> Option<Vec<(String, String)>> {
        let mut all = Vec::new();
        loop {
            self.skip(", \t");
            let before = self.0;
            let name = self.token().to_ascii_lowercase();
            self.skip(" \t");
            if name.is_empty() || !self.0.starts_with('=') {
                self.0 = before;
                return Some(all);
            }
            self.skip("=");
            self.skip(" \t");
            let value = if self.0.starts_with('"') { self.quoted()? } else { self.token() };
            if all.len() == MAX_PARAMETERS {
                return None;
            }
            all.push((name, value));
        }
    }

    fn quoted(&mut self) -> Option<String> {
        let mut value = String::new();
        let mut chars = self.0.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.0 = self.0.get(at + 1..)?;
                    return Some(value);
                }
                '\\' => value.push(chars.next()?.1),
                c => value.push(c),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer { realm: realm.into(), service: service.map(Into::into), scope: scope.map(Into::into) }
    }

    fn of(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::WWW_AUTHENTICATE, value.parse().unwrap());
        }
        best(&headers)
    }

    #[test]
    fn bearer_is_preferred_wherever_it_stands() {
        let want = Some(bearer("https://a/t", Some("r"), Some("repository:x:pull,push")));
        let text = r#"Bearer realm="https://a/t",service="r",scope="repository:x:pull,push""#;
        assert_eq!(of(&[text]), want);
        assert_eq!(of(&["Basic realm=\"x\"", text]), want);
        assert_eq!(of(&[&format!("Basic realm=\"a, b=\\\"c\\\"\", {text}")]), want);
        assert_eq!(of(&[&format!("Negotiate, Digest qop=auth, {text}, Basic realm=x")]), want);
        assert_eq!(of(&["bearer REALM = https, Basic"]), Some(bearer("https", None, None)));
        assert_eq!(of(&["BASIC"]), Some(Challenge::Basic));
    }

    /// H15.
    #[test]
    fn hostile_challenges_are_left_out() {
        for text in [
            "",
            "Negotiate",
            "Bearer",
            "Bearer service=\"r\"",
            "Bearer realm=\"\"",
            "Bearer realm=\"https://a/t",
            "Bearer realm=\"https://a/t\\",
            "=",
            ",,,",
        ] {
            assert_eq!(of(&[text]), None, "{text}");
        }
        assert_eq!(of(&[&format!("Bearer realm=\"{}\"", "x".repeat(MAX_HEADER))]), None);
        assert_eq!(of(&[&format!("{} Bearer realm=\"x\"", "Unknown, ".repeat(500))]), None);
        let many: String = (0..40).map(|i| format!("p{i}=x,")).collect();
        assert_eq!(of(&[&format!("Bearer {many}realm=\"x\"")]), None);
    }
}
