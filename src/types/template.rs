//! Templates over documents, for programs that let their users choose what is printed.

use std::{fmt, str::FromStr};

use serde_json::{Map, Value as Json};

use super::language::{expr::Engine, scope::Scope, values::Value};
use crate::error::{Error, Result};

/// A template over a JSON object, in the language of definitions and within its limits: `{{ digest }}`,
/// `{% for layer in layers %}…{% endfor %}`.
///
/// ```
/// use artifact::types::Template;
/// let template: Template = "{{ name }}: {{ tags | join(', ') }}".parse()?;
/// let document = serde_json::json!({ "name": "app", "tags": ["v1", "v2"] });
/// assert_eq!(template.render(document.as_object().unwrap())?, "app: v1, v2");
/// # Ok::<(), artifact::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Template {
    text: String,
    engine: Engine,
}

impl Template {
    /// The text that the template makes of a document. `null` prints as nothing.
    ///
    /// Errors (kind `Misuse`): a key that is not there, with those that are; more than the limits of a template.
    pub fn render(&self, document: &Map<String, Json>) -> Result<String> {
        let names = document.iter().map(|(key, value)| (key.clone(), Value::of(value)));
        self.engine.text(&self.text, &Scope::default().with_all(names)).map_err(Error::into_misuse)
    }
}

impl FromStr for Template {
    type Err = Error;

    /// Errors (kind `Misuse`): malformed syntax, or something that the language lacks.
    fn from_str(text: &str) -> Result<Self> {
        let engine = Engine::for_documents();
        engine.names(text, true).map_err(Error::into_misuse)?;
        Ok(Self { text: text.to_owned(), engine })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::Kind;

    fn rendered(template: &str) -> Result<String> {
        let document = json!({ "digest": "sha256:0", "none": null, "layers": [{ "title": "a", "size": 1 }] });
        template.parse::<Template>()?.render(document.as_object().unwrap())
    }

    #[test]
    fn what_a_document_lacks_is_an_error_that_names_what_it_has() {
        for (template, message) in [
            (
                "{{ digst }}",
                "the name `digst` does not exist; did you mean `digest`; there are `digest`, `layers`, `none`",
            ),
            (
                "{{ layers[0].titel }}",
                "the key `titel` does not exist; did you mean `title`; there are `size`, `title`",
            ),
            ("{{ x | default('') }}{% for l in layers %}{{ l.titel }}{% endfor %}", "there are `size`, `title`"),
            ("{{ digest.x }}", "the key `x` does not exist"),
        ] {
            let error = rendered(template).unwrap_err();
            assert_eq!(error.kind(), Kind::Misuse, "{template}");
            assert!(error.to_string().ends_with(message), "{template}: {error}");
        }
        assert_eq!(rendered("{{ none }}|{{ digst | default('-') }}|{{ layers[9] }}").unwrap(), "|-|");
    }

    #[test]
    fn a_template_that_is_none_or_takes_too_much_is_refused() {
        for bad in ["{{ digest", "{% set a = 1 %}", "{{ digest | shell }}", &"x{{ digest }}".repeat(400)] {
            assert_eq!(bad.parse::<Template>().unwrap_err().kind(), Kind::Misuse, "{bad}");
        }
        let nested = "{% for a in digest * 9 %}{% endfor %}";
        assert_eq!(rendered(nested).unwrap_err().kind(), Kind::Misuse);
        let long = "{% for a in x %}".replace('x', "digest").repeat(8) + "." + &"{% endfor %}".repeat(8);
        let error = rendered(&long).unwrap_err();
        assert!(error.kind() == Kind::Misuse && error.to_string().contains("steps"), "{error}");
    }
}
