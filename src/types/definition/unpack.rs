//! The section `unpack`: the files of an artifact in two views. `native` has the files that the type's own tool would
//! save, `tree` the plain content.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{
    many::{Expression, Template},
    tar::compression,
    texts::{Part, Texts},
};
use crate::error::{Error, Result};

/// Default permission bits of a file.
const MODE: u32 = 0o644;

/// A view: the form of an unpacked artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum View {
    /// The files that the type's own tool would save.
    #[default]
    Native,
    /// The plain content: archives are extracted.
    Tree,
}

impl std::str::FromStr for View {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "native" => Ok(Self::Native),
            "tree" => Ok(Self::Tree),
            _ => Err(Error::invalid(format!("the view must be `native` or `tree`, not `{text}`"))),
        }
    }
}

/// The section `unpack`. A view without rules equals the other; without any rules, layers become files by title.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unpack {
    /// The files that the type's own tool would save.
    #[serde(default)]
    pub native: Vec<Rule>,
    /// The plain content.
    #[serde(default)]
    pub tree: Vec<Rule>,
    /// Settings for a viewer; not used yet.
    #[serde(default)]
    pub view: Option<Json>,
}

/// A rule for layers or the config.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Role of the layers; `*` for all.
    #[serde(default)]
    pub layer: Option<String>,
    /// Applies to the config.
    #[serde(default)]
    pub config: bool,
    /// Condition for the rule.
    #[serde(default)]
    pub when: Option<Expression>,
    /// Path of the file; `layer.title` may contain separators, other values may not.
    #[serde(default)]
    pub write: Option<Template>,
    /// Permission bits of the file, octal [default: `0644`].
    #[serde(default)]
    pub mode: Option<String>,
    /// Extracts the archive instead.
    #[serde(default)]
    pub extract: Option<Extract>,
}

/// Extraction of a tar archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Extract {
    /// Target directory; `.` for the destination itself.
    #[serde(default)]
    pub to: Option<Template>,
    /// First path component, which every entry must have; it is stripped.
    #[serde(default)]
    pub root: Option<Template>,
    /// Number of path components to strip behind the root, whatever they are called; a file with no more is an error.
    #[serde(default)]
    pub strip: usize,
    /// Compression: `none`, `gzip` or `zstd` [default: by the media type].
    #[serde(default)]
    pub compress: Option<String>,
    /// Whether to create symbolic links that stay inside; otherwise links are errors.
    #[serde(default)]
    pub links: bool,
}

impl Unpack {
    /// Collects the evaluated texts.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        for (view, rules) in [("native", &self.native), ("tree", &self.tree)] {
            texts.part(view, |texts| {
                rules.iter().enumerate().for_each(|(i, rule)| texts.part(i, |texts| rule.texts(texts)));
            });
        }
    }
}

impl Rule {
    /// Collects the evaluated texts.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.names("layer", Part::Role, &self.layer);
        texts.expression("when", &self.when);
        texts.template("write", &self.write);
        if let Some(extract) = &self.extract {
            texts.part("extract", |texts| {
                texts.template("to", &extract.to);
                texts.template("root", &extract.root);
            });
        }
    }

    /// Errors: contradictory keys, an invalid mode or compression.
    pub(in crate::types) fn check(&self) -> Result<()> {
        if self.layer.is_some() == self.config {
            return Err(Error::invalid("a rule needs either `layer` or `config`"));
        }
        if self.write.is_some() == self.extract.is_some() {
            return Err(Error::invalid("a rule needs either `write` or `extract`"));
        }
        if let Some(compress) = self.extract.as_ref().and_then(|e| e.compress.as_deref()) {
            compression(compress)?;
        }
        self.mode().map(drop)
    }

    /// The permission bits of the file.
    pub(in crate::types) fn mode(&self) -> Result<u32> {
        let Some(text) = &self.mode else { return Ok(MODE) };
        let mode = u32::from_str_radix(text, 8).ok().filter(|m| *m <= 0o777);
        mode.ok_or_else(|| Error::invalid(format!("`mode` must be octal digits such as `0644`, not `{text}`")))
    }
}
