//! The section `source.parts`: parts of a source that are themselves sources of the same type.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    documents::Inside,
    texts::{Part, Texts},
};
use crate::{
    error::{Error, Result},
    source::{escape, relative, relative_globs},
};

/// Parts of the source: whatever lies right in a directory. Each part is read by the documents of the definition and has
/// parts of its own; assertions with `parts` hold for it, too. Decks are not read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PartsRule {
    /// The directory, relative to the source.
    pub dir: String,
    /// Globs for files and directories in it that are no parts and no part of any.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Parts that are archives.
    #[serde(default)]
    pub archives: Option<PartArchives>,
    /// Set with the files of the source.
    #[serde(default)]
    pub set: Option<String>,
    /// Archive with the files of the source.
    #[serde(default)]
    pub inside: Option<Inside>,
}

/// Parts that are archives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PartArchives {
    /// Glob for their names.
    pub glob: String,
    /// Number of leading path components to strip from entry names.
    #[serde(default)]
    pub strip: usize,
}

impl PartsRule {
    /// Errors: a directory that is not written in its shortest form, no place for the files, malformed globs.
    pub(in crate::types) fn check(&self) -> Result<()> {
        let short = relative(&self.dir)?;
        if short.is_empty() || short != self.dir {
            return Err(Error::invalid(format!(
                "`dir` must be a directory such as `{short}`, not `{}`",
                escape(&self.dir)
            )));
        }
        if self.set.is_none() && self.inside.is_none() {
            return Err(Error::invalid("parts need `set` or `inside`, which have the files of the source"));
        }
        relative_globs(&self.exclude)?;
        relative_globs(&self.archives.iter().map(|archives| archives.glob.clone()).collect::<Vec<_>>())?;
        Ok(())
    }

    /// Collects the texts needed to read these parts.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.names("set", Part::Set, &self.set);
        if let Some(inside) = &self.inside {
            texts.part("inside", |texts| inside.texts(texts));
        }
    }
}
