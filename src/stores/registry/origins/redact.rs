//! Redaction: text of a server, without the secrets that were sent to it, in whatever encoding it repeats them.

use url::Url;

use crate::oci::Digest;

/// Replaces a secret.
pub(super) const BLOT: &str = "***";
/// How often a text is decoded in search of a secret; one that can be decoded more often is not shown.
const DEPTH: usize = 16;
/// Parameters of the distribution API and of the token protocol, which are not secret, unlike others in a server's URL.
const OURS: [&str; 11] =
    ["account", "artifactType", "client_id", "digest", "from", "last", "mount", "n", "scope", "service", "tag"];
/// A shorter value, in bytes, is no secret, and would match by chance.
const SHORTEST: usize = 6;
/// Longest quote of a server's text in a message, in characters.
const MAX_QUOTE: usize = 500;

/// The text with these secrets replaced, or replaced as a whole if a secret is hidden by an encoding.
pub(in crate::stores::registry) fn without_secrets(text: &str, secrets: &[String]) -> String {
    let mut secrets: Vec<&String> = secrets.iter().filter(|secret| !secret.is_empty()).collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let shown = secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), BLOT));
    let hidden: Vec<String> = secrets.iter().flat_map(|s| [normalized(s), normalized(&decoded(s))]).collect();
    let mut plain = shown.clone();
    for _ in 0..DEPTH {
        let normalized = normalized(&plain);
        if hidden.iter().any(|secret| normalized.contains(secret.as_str())) {
            return BLOT.into();
        }
        let next = decoded(&plain);
        if next == plain {
            return shown;
        }
        plain = next;
    }
    BLOT.into()
}

/// True if one of these secrets is in a host's name, which has no case, few signs, and its own encoding of others.
pub(super) fn is_in_host(host: &str, secrets: &[String]) -> bool {
    let letters = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let (bare, encoded) = (letters(host), host.contains("xn--"));
    secrets.iter().any(|secret| {
        let known = letters(secret);
        (!known.is_empty() && bare.contains(&known)) || (encoded && !secret.is_ascii())
    })
}

/// A server's text, shortened for a message: at most 500 characters and an ellipsis. The caller that prints it escapes
/// it.
pub(in crate::stores::registry) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTE) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Possible secrets in a URL from a server: the values of its parameters, such as a signature.
pub(in crate::stores::registry) fn in_query(url: &Url) -> Vec<String> {
    let ours = |name: &str, value: &str| OURS.contains(&name) || value.parse::<Digest>().is_ok();
    let pairs = url.query_pairs().filter(|(name, value)| value.len() >= SHORTEST && !ours(name, value));
    pairs.map(|(_, value)| value.into_owned()).collect()
}

/// The text for comparison: in a form, a plus sign is a space; some servers change the case of what they repeat.
fn normalized(text: &str) -> String {
    text.replace('+', " ").to_lowercase()
}

/// The text with the escapes of URLs, JSON and HTML undone once.
fn decoded(text: &str) -> String {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        let escape = match first {
            '%' => percent(rest),
            '\\' => backslash(rest),
            '&' => entity(rest),
            _ => None,
        };
        let len = match escape {
            Some((bytes, len)) => {
                out.extend(bytes);
                len
            }
            None => {
                out.extend(first.encode_utf8(&mut [0; 4]).as_bytes());
                first.len_utf8()
            }
        };
        rest = rest.get(len..).unwrap_or_default();
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Decodes `%2f`, and returns the length of the escape.
fn percent(text: &str) -> Option<(Vec<u8>, usize)> {
    Some((vec![u8::from_str_radix(text.get(1..3)?, 16).ok()?], 3))
}

/// `\"` and `\u002f`.
fn backslash(text: &str) -> Option<(Vec<u8>, usize)> {
    match text.chars().nth(1)? {
        'u' => Some((bytes(u32::from_str_radix(text.get(2..6)?, 16).ok()?)?, 6)),
        c @ ('"' | '\\' | '/') => Some((bytes(c.into())?, 2)),
        'n' => Some((vec![b'\n'], 2)),
        't' => Some((vec![b'\t'], 2)),
        _ => None,
    }
}

/// `&amp;`, `&#47;` and `&#x2f;`.
fn entity(text: &str) -> Option<(Vec<u8>, usize)> {
    let end = text.bytes().take(10).position(|byte| byte == b';')?;
    let code = match text.get(1..end)? {
        "amp" => '&'.into(),
        "lt" => '<'.into(),
        "gt" => '>'.into(),
        "quot" => '"'.into(),
        "apos" => '\''.into(),
        name => match name.strip_prefix("#x").or_else(|| name.strip_prefix("#X")) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => name.strip_prefix('#')?.parse().ok()?,
        },
    };
    Some((bytes(code)?, end + 1))
}

fn bytes(code: u32) -> Option<Vec<u8>> {
    Some(char::from_u32(code)?.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a \"b\\c\"/+&<é>=%7E";

    fn blot(text: &str) -> String {
        without_secrets(text, &[SECRET.to_owned()])
    }

    #[test]
    fn a_secret_as_it_is_is_blotted_out_and_the_rest_is_shown() {
        assert_eq!(blot(&format!("you sent {SECRET}!")), "you sent ***!");
        assert_eq!(
            blot("nothing of the kind: 100 % \\o/ & so on; &#0; \\ud800 %zz %"),
            "nothing of the kind: 100 % \\o/ & so on; &#0; \\ud800 %zz %"
        );
        assert_eq!(without_secrets("x", &[String::new()]), "x");
    }

    #[test]
    fn a_text_in_which_a_secret_is_encoded_is_not_shown() {
        let url: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
        let json = serde_json::to_string(SECRET).unwrap();
        let html = SECRET.replace('&', "&amp;").replace('"', "&#34;").replace('<', "&lt;").replace('é', "&#xE9;");
        let percent: String = SECRET.bytes().map(|b| format!("%{b:02x}")).collect();
        let unicode: String = SECRET.chars().map(|c| format!("\\u{:04x}", c as u32)).collect();
        let nested = serde_json::to_string(&url).unwrap().replace('%', "%25");
        for text in [url, json, html, percent, unicode, nested] {
            assert_eq!(blot(&format!("you sent {text}")), "***", "{text}");
        }
    }

    #[test]
    fn what_a_server_put_into_an_address_is_secret_and_what_we_put_there_is_not() {
        let digest = Digest::of(b"");
        let url =
            Url::parse(&format!("https://h/p?X-Sig=a%2Fbcdef&n=1000000&digest={digest}&x={digest}&v=1&sig=uvwxyz"));
        assert_eq!(in_query(&url.unwrap()), ["a/bcdef", "uvwxyz"]);
    }

    #[test]
    fn what_a_server_says_is_cut_short() {
        assert_eq!(excerpt("a\u{1b}[31m\"b\""), "a\u{1b}[31m\"b\"");
        assert_eq!(excerpt(&"x".repeat(MAX_QUOTE)), "x".repeat(MAX_QUOTE));
        assert_eq!(excerpt(&"x".repeat(9999)), "x".repeat(MAX_QUOTE) + "…");
    }
}
