//! What front matter says of a deck: texts, and a warning for whatever else stands in their place.

use serde_json::Value;

use super::Document;

/// The settings in front matter.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) authors: Vec<String>,
    pub(super) date: Option<String>,
    pub(super) paging: Option<String>,
    pub(super) theme: Option<String>,
    /// What is not used, with its line.
    pub(super) unused: Vec<String>,
}

impl Settings {
    pub(super) fn of(document: &Document) -> Self {
        let mut settings = Self::default();
        for key in ["author", "authors"] {
            match document.value.get(key) {
                Some(Value::Array(items)) => {
                    for (at, item) in items.iter().enumerate() {
                        let author = settings.text(item, key, document, &format!("/{key}/{at}"));
                        settings.authors.extend(author);
                    }
                }
                _ => {
                    let author = settings.value(document, key);
                    settings.authors.extend(author);
                }
            }
        }
        settings.date = settings.value(document, "date");
        settings.paging = settings.value(document, "paging");
        settings.theme = settings.value(document, "theme");
        settings
    }

    fn value(&mut self, document: &Document, key: &str) -> Option<String> {
        self.text(document.value.get(key)?, key, document, &format!("/{key}"))
    }

    /// A text, or a number as one.
    fn text(&mut self, value: &Value, key: &str, document: &Document, pointer: &str) -> Option<String> {
        match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Value::Number(number) if key != "theme" => Some(number.to_string()),
            _ => {
                self.unused.push(format!("{}: `{key}` is no text here, and is left out", document.place(pointer)));
                None
            }
        }
    }
}
