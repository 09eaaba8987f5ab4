//! The section `unpack`: which files an artifact becomes, in two views. `native` gives the files that the type's own
//! tool would have saved, `tree` the content itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{
    many::{Expression, Template},
    tar::compression,
    texts::{Part, Texts},
};
use crate::error::{Error, Result};

/// Permission bits of a file that nothing is said about.
const MODE: u32 = 0o644;

/// Which files an artifact becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum View {
    /// The files that the type's own tool would have saved.
    #[default]
    Native,
    /// The content itself: archives are extracted.
    Tree,
}

impl std::str::FromStr for View {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "native" => Ok(Self::Native),
            "tree" => Ok(Self::Tree),
            _ => Err(Error::invalid(format!("a view is `native` or `tree`, not `{text}`"))),
        }
    }
}

/// The section `unpack`. A view without rules is the other one; without any, layers go under their titles.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unpack {
    /// The files that the type's own tool would have saved.
    #[serde(default)]
    pub native: Vec<Rule>,
    /// The content itself.
    #[serde(default)]
    pub tree: Vec<Rule>,
    /// How `artifact view` shows it.
    #[serde(default)]
    pub view: Option<Json>,
}

/// What becomes of a layer, or of the config.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// The layers of this role; `*` for all.
    #[serde(default)]
    pub layer: Option<String>,
    /// The config.
    #[serde(default)]
    pub config: bool,
    /// Whether the rule counts.
    #[serde(default)]
    pub when: Option<Expression>,
    /// The path of the file that it becomes; `layer.title` may hold separators, other values may not.
    #[serde(default)]
    pub write: Option<Template>,
    /// Permission bits of that file, octal: `0644` when nothing is said.
    #[serde(default)]
    pub mode: Option<String>,
    /// Extract it instead.
    #[serde(default)]
    pub extract: Option<Extract>,
}

/// How a tar archive is extracted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Extract {
    /// Where to; `.` for the destination itself.
    #[serde(default)]
    pub to: Option<Template>,
    /// A first component that every entry must have, and that is stripped.
    #[serde(default)]
    pub root: Option<Template>,
    /// `none`, `gzip` or `zstd`; what the media type says when nothing is said.
    #[serde(default)]
    pub compress: Option<String>,
    /// Whether symbolic links that stay inside are made; otherwise a link is an error.
    #[serde(default)]
    pub links: bool,
}

impl Unpack {
    /// The texts that are evaluated.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        for (view, rules) in [("native", &self.native), ("tree", &self.tree)] {
            texts.part(view, |texts| {
                rules.iter().enumerate().for_each(|(i, rule)| texts.part(i, |texts| rule.texts(texts)));
            });
        }
    }
}

impl Rule {
    /// The texts that are evaluated.
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

    /// What is wrong with it.
    pub(in crate::types) fn check(&self) -> Result<()> {
        if self.layer.is_some() == self.config {
            return Err(Error::invalid("a rule has either `layer` or `config`"));
        }
        if self.write.is_some() == self.extract.is_some() {
            return Err(Error::invalid("a rule has either `write` or `extract`"));
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
        mode.ok_or_else(|| Error::invalid(format!("`mode` is octal digits such as `0644`, not `{text}`")))
    }
}
