//! A type of artifact: all that can be asked of a definition, and what a source is as one of a type.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use super::{
    definition::{Definition, unpack::View},
    language::expr::Engine,
    planning::{self, inputs::Inputs},
    probe::detect,
    unpacking::unpack,
};
use crate::{
    error::{Context as _, Error, Result},
    oci::{Descriptor, Index, Manifest},
    plan::{Plan, Unpacking},
    source::Source,
};

/// Largest config that is read to unpack an artifact, in bytes.
pub const MAX_CONFIG: u64 = 4 << 20;

/// Why a source counts as one of a type that the user named.
const NAMED: &str = "named by the user";

/// Where a definition comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This program.
    Builtin(String),
    /// A file.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(file) => write!(f, "built-in:{file}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A type of artifact: a checked definition, and where it comes from.
#[derive(Clone)]
pub struct ArtifactType {
    definition: Definition,
    text: String,
    origin: Origin,
    engine: Engine,
    /// For `unpack`, whose texts name files; made when the first of them is wanted.
    paths: OnceLock<Engine>,
}

impl ArtifactType {
    /// Reads and checks a definition. Errors: those of [`Definition::parse`].
    pub fn parse(text: &str, origin: Origin) -> Result<Self> {
        let engine = Engine::new();
        let definition = Definition::compile(text, &origin.to_string(), &engine)?;
        Ok(Self { definition, text: text.into(), origin, engine, paths: OnceLock::new() })
    }

    /// One of ours. A test has checked it; what there is to evaluate in it is compiled when it is wanted.
    pub(super) fn built_in(text: &str, origin: Origin) -> Result<Self> {
        let definition = Definition::built_in(text, &origin.to_string())?;
        Ok(Self { definition, text: text.into(), origin, engine: Engine::new(), paths: OnceLock::new() })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.definition.metadata.name
    }

    /// What is wrong with an index of this type, where the type makes indexes: a member says that it is of another type.
    /// Of other types, whoever made the index may have put anything into it.
    #[must_use]
    pub fn flaws(&self, index: &Index) -> Vec<String> {
        if self.definition.index.is_none() {
            return Vec::new();
        }
        let known = &self.definition.accept.artifact_types.0;
        let other = |member: &Descriptor| member.artifact_type.clone().filter(|own| !known.contains(own));
        let strangers = index.manifests.iter().filter_map(|member| Some((&member.digest, other(member)?)));
        strangers
            .map(|(digest, own)| format!("the member {digest} is of type `{own}`, not a {}", self.name()))
            .collect()
    }

    /// The role of every layer of a manifest of this type, in their order.
    ///
    /// Errors (kind `Mismatch`): a role has too many or too few layers, or a layer has none where that is an error.
    pub fn roles<'a>(&'a self, manifest: &Manifest) -> Result<Vec<Option<&'a str>>> {
        self.definition.accept.roles(manifest)
    }

    /// What it packs, in one sentence.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.definition.metadata.description
    }

    /// Where its definition comes from.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Its definition.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The text of its definition.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// This source as one of this type, because the user says so: forms that are only for that count, too.
    /// [`Catalog::detect`](super::Catalog::detect) is for when nobody says so.
    ///
    /// Errors (kind `UnknownType`): it has no form; the message says what was looked for.
    pub fn named(self: &Arc<Self>, source: &Source) -> Result<Detected> {
        let form = detect::form_of(&self.definition, source).context(|| self.about(source))?;
        Ok(Detected { kind: Arc::clone(self), form, why: NAMED.into() })
    }

    /// What will be made of this source as one of this type: [`ArtifactType::named`], then [`Detected::plan`].
    pub fn plan(self: &Arc<Self>, source: &Source, inputs: &Inputs) -> Result<Plan> {
        self.named(source)?.plan(source, inputs)
    }

    fn paths(&self) -> &Engine {
        self.paths.get_or_init(Engine::for_paths)
    }

    /// What a message about this source begins with.
    fn about(&self, source: &Source) -> String {
        format!("{} `{source}`", self.name())
    }

    /// Whether [`ArtifactType::unpacking`] needs the content of the config for this view.
    #[must_use]
    pub fn reads_config(&self, view: View) -> bool {
        unpack::reads_config(&self.definition, self.paths(), view)
    }

    /// The files that this manifest becomes. An index has none of its own: a platform picks one of its manifests.
    ///
    /// `config` are the bytes of its config blob, at most [`MAX_CONFIG`]; they may be empty where
    /// [`ArtifactType::reads_config`] says that they are not needed. Errors
    /// (kind `Mismatch`): the manifest is not of this type, layers are missing or do not belong.
    pub fn unpacking(&self, manifest: &Manifest, config: &[u8], view: View) -> Result<Unpacking> {
        if self.definition.accept.recognises(manifest.into()).is_none() && !self.definition.accept.claims().is_empty() {
            let kind = manifest.artifact_type.as_deref().unwrap_or(&manifest.config.media_type);
            let message = format!("an artifact of type `{}` is not a {}", kind, self.name());
            return Err(Error::mismatch(message));
        }
        if config.len() as u64 > MAX_CONFIG {
            return Err(Error::limit(format!("a config of {} bytes; {MAX_CONFIG} are allowed", config.len())));
        }
        unpack::plan(&self.definition, self.paths(), manifest, config, view).context(|| self.name())
    }
}

impl fmt::Debug for ArtifactType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArtifactType({} from {})", self.name(), self.origin)
    }
}

/// What a source is: [`Catalog::detect`](super::Catalog::detect) found it, or the user said it ([`ArtifactType::named`]).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Detected {
    /// The type.
    pub kind: Arc<ArtifactType>,
    /// The form that the source has in it.
    pub form: String,
    /// By what it was known, in words: the rule that fits, or that the user named the type.
    pub why: String,
}

impl Detected {
    /// What will be made of this source, in this form.
    ///
    /// Equal sources and inputs give equal plans, on every machine. Errors name the layer, set, document or parameter at
    /// fault, and the line where a document is.
    pub fn plan(&self, source: &Source, inputs: &Inputs) -> Result<Plan> {
        let kind = &self.kind;
        let plan = planning::plan(&kind.definition, &kind.engine, source, inputs, &self.form);
        plan.context(|| kind.about(source))
    }
}
