//! Documents as values of our own types, and the word that was meant.

use serde::de::DeserializeOwned;

use super::Document;
use crate::error::{Error, Result};

/// The text of a YAML document as a value of this type. Errors say where they are, and which key was meant.
pub(crate) fn typed<T: DeserializeOwned>(text: &str, document: &Document) -> Result<T> {
    let yaml = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, yaml).map_err(|e| explain(&e, document))
}

/// The reader's error as one line with a position, and with the key that was meant.
fn explain(error: &serde_saphyr::Error, document: &Document) -> Error {
    use serde_saphyr::Error as E;
    let place = match error.location() {
        Some(at) if at.line() > 0 => format!("{}:{}:{}", document.origin, at.line(), at.column()),
        _ => document.place(""),
    };
    let one_of = |expected: &[&str]| format!("one of `{}`", expected.join("`, `"));
    let message = match error.without_snippet() {
        E::SerdeUnknownField { field, expected, .. } => {
            let near = nearest(field, expected.iter().copied()).map(|n| format!("did you mean `{n}`"));
            let near = near.unwrap_or_else(|| format!("expected {}", one_of(expected)));
            format!("unknown key `{field}`; {near}")
        }
        E::SerdeUnknownVariant { variant, expected, .. } => {
            let near = nearest(variant, expected.iter().copied()).map(|n| format!("; did you mean `{n}`"));
            format!("`{}` is not {}{}", variant, one_of(expected), near.unwrap_or_default())
        }
        E::SerdeMissingField { field, .. } => format!("the key `{field}` is missing"),
        E::SerdeInvalidType { unexpected, expected, .. } | E::SerdeInvalidValue { unexpected, expected, .. } => {
            format!("expected {expected}, not {unexpected}")
        }
        E::Message { msg, .. } => msg.replace('\n', " "),
        other => other.render_with_formatter(&serde_saphyr::UserMessageFormatter).replace('\n', " "),
    };
    Error::invalid(message).context(place)
}

/// The known word that is most like this one, if any is much like it.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|k| (strsim::jaro_winkler(&word.to_lowercase(), &k.to_lowercase()), k));
    scored.filter(|(score, _)| *score > 0.78).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, k)| k)
}
