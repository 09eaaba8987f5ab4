//! [`ArtifactType`], a checked definition with its operations, and [`Detected`], a source with its type.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use super::{
    definition::{Definition, unpack::View},
    language::expr::Engine,
    planning::{self, inputs::Inputs, portable},
    probe::detect,
    unpacking::unpack,
};
use crate::{
    error::{Context as _, Error, Result},
    oci::{Descriptor, Index, Manifest},
    plan::{Plan, Unpacking},
    source::Source,
};

/// Size limit of a config that is read to unpack an artifact, in bytes.
pub const MAX_CONFIG: u64 = 4 << 20;

/// The reason for a type that the user named.
const NAMED: &str = "named by the user";

/// The origin of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in, with its file name.
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

/// A type of artifact: a checked definition and its origin.
#[derive(Clone)]
pub struct ArtifactType {
    definition: Definition,
    text: String,
    origin: Origin,
    /// The definition of the same name whose place it takes, without the user having asked for it.
    replaces: Option<Origin>,
    engine: Engine,
    /// The engine for `unpack`, whose texts name files; created on first use.
    paths: OnceLock<Engine>,
}

impl ArtifactType {
    /// Reads and checks a definition. Errors: those of [`Definition::parse`].
    pub fn parse(text: &str, origin: Origin) -> Result<Self> {
        let engine = Engine::new();
        let definition = Definition::compile(text, &origin.to_string(), &engine)?;
        Ok(Self { definition, text: text.into(), origin, replaces: None, engine, paths: OnceLock::new() })
    }

    /// Reads a built-in definition, which a test has checked; expressions are compiled on first use.
    pub(super) fn built_in(text: &str, origin: Origin) -> Result<Self> {
        let definition = Definition::built_in(text, &origin.to_string())?;
        let (engine, paths) = (Engine::new(), OnceLock::new());
        Ok(Self { definition, text: text.into(), origin, replaces: None, engine, paths })
    }

    /// This type in place of the one from there, of which plans and unpackings warn.
    pub(super) fn replacing(self, other: Origin) -> Self {
        Self { replaces: Some(other), ..self }
    }

    /// The warning that this is not the type that its name stands for elsewhere.
    fn replacement(&self) -> Option<String> {
        let other = self.replaces.as_ref()?;
        Some(format!("the type `{}` of {} takes the place of {other}", self.name(), self.origin))
    }

    /// The name of the type.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.definition.metadata.name
    }

    /// The flaws of an index of this type: one message for every member that declares another type. None if the type
    /// does not create indexes, since such an index may have any members.
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

    /// The role of every layer of a manifest of this type, in layer order.
    ///
    /// Errors (kind `Mismatch`): too many or too few layers of a role; a layer without a role, if `accept` forbids it.
    pub fn roles<'a>(&'a self, manifest: &Manifest) -> Result<Vec<Option<&'a str>>> {
        self.definition.accept.roles(manifest)
    }

    /// The description of the type, one sentence.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.definition.metadata.description
    }

    /// The origin of the definition.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The definition.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The text of the definition.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Finds the form of a source whose type the user named; `explicit` forms count too. To detect the type instead,
    /// call [`Catalog::detect`](super::Catalog::detect).
    ///
    /// Errors (kind `UnknownType`): no form fits; the message describes the forms.
    pub fn named(self: &Arc<Self>, source: &Source) -> Result<Detected> {
        let form = detect::form_of(&self.definition, source).context(|| self.about(source))?;
        Ok(Detected { kind: Arc::clone(self), form, why: NAMED.into() })
    }

    /// Plans an artifact of this type: [`ArtifactType::named`], then [`Detected::plan`].
    pub fn plan(self: &Arc<Self>, source: &Source, inputs: &Inputs) -> Result<Plan> {
        self.named(source)?.plan(source, inputs)
    }

    fn paths(&self) -> &Engine {
        self.paths.get_or_init(Engine::for_paths)
    }

    /// The start of a message about this source.
    fn about(&self, source: &Source) -> String {
        format!("{} `{source}`", self.name())
    }

    /// Whether [`ArtifactType::unpacking`] needs the content of the config for this view.
    #[must_use]
    pub fn reads_config(&self, view: View) -> bool {
        unpack::reads_config(&self.definition, self.paths(), view)
    }

    /// The files of this manifest. An index has none of its own: select one of its manifests by platform first.
    ///
    /// `config` holds the bytes of the config blob, at most [`MAX_CONFIG`], or none if [`ArtifactType::reads_config`]
    /// is false. Errors (kind `Mismatch`): the manifest is not of this type, or has missing or unexpected layers.
    pub fn unpacking(&self, manifest: &Manifest, config: &[u8], view: View) -> Result<Unpacking> {
        if self.definition.accept.recognises(manifest.into()).is_none() && !self.definition.accept.claims().is_empty() {
            let kind = manifest.artifact_type.as_deref().unwrap_or(&manifest.config.media_type);
            let message = format!("the artifact has the type `{}` and is not a {}", kind, self.name());
            return Err(Error::mismatch(message));
        }
        if config.len() as u64 > MAX_CONFIG {
            return Err(Error::limit(format!("the config has {} bytes; the limit is {MAX_CONFIG}", config.len())));
        }
        let mut unpacking =
            unpack::plan(&self.definition, self.paths(), manifest, config, view).context(|| self.name())?;
        unpacking.warnings.extend(self.replacement());
        Ok(unpacking)
    }
}

impl fmt::Debug for ArtifactType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArtifactType({} from {})", self.name(), self.origin)
    }
}

/// The type and form of a source, from [`Catalog::detect`](super::Catalog::detect) or [`ArtifactType::named`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Detected {
    /// The type.
    pub kind: Arc<ArtifactType>,
    /// The form of the source.
    pub form: String,
    /// The reason, in words: the rule that fits, or that the user named the type.
    pub why: String,
}

impl Detected {
    /// Plans the artifact for this source.
    ///
    /// Equal sources and inputs give equal plans on every machine. Errors name the layer, set, document or parameter at
    /// fault, and the line in a document.
    pub fn plan(&self, source: &Source, inputs: &Inputs) -> Result<Plan> {
        let kind = &self.kind;
        let plan = planning::plan(&kind.definition, &kind.engine, source, inputs, &self.form);
        let mut plan = plan.context(|| kind.about(source))?;
        plan.warnings.extend(kind.replacement());
        plan.warnings.extend(portable::warning(&plan));
        Ok(plan)
    }
}
