//! The catalog of types: built-in, the user's, the project's, single files. Names are unique.
//!
//! A catalog asks every type; how a type reads a source or manifest is elsewhere. Plug-ins are not included.

mod broken;
mod files;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use include_dir::{Dir, include_dir};

pub use self::broken::Broken;
use self::files::{definitions, is_definition, read_definition};
use super::{
    artifact_type::{ArtifactType, Detected, Origin},
    definition::detect::Detect,
    probe::detect,
    unpacking::accept::{Evidence, Identity},
};
use crate::{
    document::nearest,
    error::{Code, Error, Kind, Result},
    source::Source,
};

static BUILTIN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/artifact-types");

/// All known types by name.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    types: BTreeMap<String, Arc<ArtifactType>>,
    aliases: BTreeMap<String, String>,
    broken: Vec<Broken>,
    /// Types that an invalid definition would have overridden, with its index in `broken`: requests for them get its
    /// error.
    held_back: Vec<(Arc<ArtifactType>, usize)>,
}

impl Catalog {
    /// An empty catalog.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The built-in types.
    pub fn builtin() -> Result<Self> {
        let mut catalog = Self::empty();
        let mut files: Vec<_> = BUILTIN.files().filter(|f| is_definition(f.path())).collect();
        files.sort_by_key(|f| f.path());
        for file in files {
            let name = file.path().display().to_string();
            let text =
                file.contents_utf8().ok_or_else(|| Error::new(Kind::Internal, format!("`{name}` is not UTF-8")))?;
            catalog.add(ArtifactType::built_in(text, Origin::Builtin(name))?)?;
        }
        Ok(catalog)
    }

    /// The built-in types and those of these directories; missing directories are skipped.
    ///
    /// A definition overrides those of the same name that are built in or in earlier directories. An invalid one is in
    /// [`Catalog::broken`], and requests for its type fail.
    ///
    /// Errors: an unreadable directory.
    pub fn load(directories: &[PathBuf]) -> Result<Self> {
        let mut catalog = Self::builtin()?;
        for directory in directories {
            let (mut nearer, farther) = (Self::empty(), catalog.broken.len());
            for path in definitions(directory)? {
                if let Err(e) = nearer.add_file(&path) {
                    catalog.broken.push(Broken::of(&path, e));
                }
            }
            for kind in nearer.types.into_values() {
                let path = match kind.origin() {
                    Origin::File(path) => path.clone(),
                    Origin::Builtin(_) => continue,
                };
                let before = catalog.clone();
                if let Err(e) = catalog.shadow(kind) {
                    catalog = before;
                    catalog.broken.push(Broken::of(&path, e));
                }
            }
            catalog.hold_back(farther);
        }
        Ok(catalog)
    }

    /// Removes the types that the invalid definitions from index `from` on would have overridden.
    fn hold_back(&mut self, from: usize) {
        for (at, broken) in self.broken.iter().enumerate().skip(from) {
            for name in &broken.names {
                if let Some(kind) = self.types.remove(name) {
                    self.aliases.retain(|_, of| of != name);
                    self.held_back.push((kind, at));
                }
            }
        }
    }

    /// The invalid definitions.
    #[must_use]
    pub fn broken(&self) -> &[Broken] {
        &self.broken
    }

    /// Adds a type. Errors (kind `Exists`): its name or an alias is in use; the message names both origins.
    pub fn add(&mut self, kind: impl Into<Arc<ArtifactType>>) -> Result<()> {
        let kind = kind.into();
        for name in std::iter::once(kind.name()).chain(kind.definition().metadata.aliases.iter().map(String::as_str)) {
            if let Some(taken) = self.find(name) {
                let message = format!("`{name}` is defined in both {} and {}", taken.origin(), kind.origin());
                return Err(Error::new(Kind::Exists, message));
            }
        }
        self.insert(kind);
        Ok(())
    }

    /// Adds a type that overrides one of the same name. Errors: those of [`Catalog::add`], if its name is another
    /// type's alias or one of its aliases is in use.
    fn shadow(&mut self, mut kind: Arc<ArtifactType>) -> Result<()> {
        if let Some(other) = self.types.remove(kind.name()) {
            self.aliases.retain(|_, name| name != kind.name());
            kind = Arc::new(Arc::unwrap_or_clone(kind).replacing(other.origin().clone()));
        }
        self.held_back.retain(|(held, _)| held.name() != kind.name());
        self.add(kind)
    }

    /// Adds a type that overrides all others with its names, since the user selected it.
    pub fn replace(&mut self, kind: ArtifactType) {
        let kind = Arc::new(kind);
        self.aliases.retain(|_, name| name != kind.name());
        self.aliases.remove(kind.name());
        self.insert(kind);
    }

    fn insert(&mut self, kind: Arc<ArtifactType>) {
        for alias in &kind.definition().metadata.aliases {
            self.aliases.insert(alias.clone(), kind.name().into());
        }
        self.types.insert(kind.name().into(), kind);
    }

    /// Adds the definition in this file. Errors: those of [`super::Definition::parse`] and [`Catalog::add`].
    pub fn add_file(&mut self, path: &Path) -> Result<()> {
        self.add(read_definition(path)?)
    }

    /// Adds the definition in this file, which overrides others with its names.
    pub fn replace_file(&mut self, path: &Path) -> Result<()> {
        self.replace(read_definition(path)?);
        Ok(())
    }

    /// Adds all definitions (`*.yaml`, `*.yml`) of this directory; a missing directory has none.
    pub fn add_directory(&mut self, directory: &Path) -> Result<()> {
        definitions(directory)?.iter().try_for_each(|path| self.add_file(path))
    }

    fn find(&self, name: &str) -> Option<&Arc<ArtifactType>> {
        self.types.get(name).or_else(|| self.types.get(self.aliases.get(name)?))
    }

    /// The type with this name or alias. Errors (kind `UnknownType`): none; the message suggests a similar name.
    pub fn get(&self, name: &str) -> Result<Arc<ArtifactType>> {
        self.find(name).cloned().ok_or_else(|| {
            if let Some(broken) = self.broken.iter().find(|broken| broken.names.iter().any(|own| own == name)) {
                return broken.wanted();
            }
            let known = self.types.keys().chain(self.aliases.keys()).map(String::as_str);
            let message = match nearest(name, known) {
                Some(near) => format!("there is no artifact type `{name}`; did you mean `{near}`"),
                None => format!("there is no artifact type `{name}`"),
            };
            Error::new(Kind::UnknownType, message).with_code(Code::NoSuchType)
        })
    }

    /// All types, by name.
    pub fn list(&self) -> impl Iterator<Item = &Arc<ArtifactType>> {
        self.types.values()
    }

    /// Detects the type and form of a source.
    ///
    /// Fallback rules count only if no other fits. Errors: kind `UnknownType` if none fits, with the rules; kind
    /// `Ambiguous` if several fit, with their names; a document whose file name a type claims and that is malformed, or
    /// lacks a key; kind `Limit` if a limit prevents an answer.
    pub fn detect(&self, source: &Source) -> Result<Detected> {
        for fallback in [false, true] {
            let mut found = Vec::new();
            for kind in self.list() {
                if let Some(rule) = fitting_rule(kind, source, fallback)? {
                    let (form, why) = (rule.form.clone(), rule.why(source));
                    found.push(Detected { kind: Arc::clone(kind), form, why });
                }
            }
            for (kind, at) in &self.held_back {
                if fitting_rule(kind, source, fallback)?.is_some()
                    && let Some(broken) = self.broken.get(*at)
                {
                    return Err(broken.wanted());
                }
            }
            if found.len() > 1 {
                let names: Vec<_> = found.iter().map(|d| format!("`{}` ({})", d.kind.name(), d.form)).collect();
                let message = format!("`{source}` could be {}", names.join(" or "));
                return Err(Error::new(Kind::Ambiguous, message).with_code(Code::SeveralTypes));
            }
            if let Some(found) = found.pop() {
                let near = self
                    .list()
                    .filter(|_| fallback)
                    .find_map(|kind| detect::missed_by(kind.definition(), source, found.kind.name()));
                return near.map_or(Ok(found), Err);
            }
        }
        let wanted: Vec<_> = self.list().flat_map(|t| detect::wanted(t.definition())).collect();
        let message = format!("no artifact type fits `{source}`; the types expect {}", wanted.join("; "));
        Err(Error::new(Kind::UnknownType, message))
    }

    /// The type of this manifest or index, with the evidence: its artifact type, else its config's media type, else
    /// those of its layers, else annotations. `None` if no type claims it: then
    /// [`super::unpacking::generic::unpacking`] applies.
    #[must_use]
    pub fn recognise<'a>(&self, document: impl Into<Identity<'a>>) -> Option<(Arc<ArtifactType>, Evidence)> {
        let identity = document.into();
        let known = self.list().map(|kind| (kind, true)).chain(self.held_back.iter().map(|(kind, _)| (kind, false)));
        let found = known.filter_map(|(kind, usable)| {
            Some((Arc::clone(kind), kind.definition().accept.recognises(identity)?, usable))
        });
        let (kind, evidence, usable) = found.min_by_key(|(_, evidence, _)| *evidence)?;
        usable.then_some((kind, evidence))
    }
}

/// The rule of this type that fits. Errors: a limit prevents an answer; the message names the source and type.
fn fitting_rule<'a>(kind: &'a ArtifactType, source: &Source, fallback: bool) -> Result<Option<&'a Detect>> {
    detect::fitting_rule(kind.definition(), source, fallback).map_err(|e| match e.kind() {
        Kind::Limit => {
            e.context(format!("cannot decide whether `{source}` is a {}", kind.name())).with_code(Code::TypeUndecided)
        }
        _ => e,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::check::lint;

    #[test]
    fn the_built_in_definitions_are_correct_as_nobody_checks_them_again() {
        for kind in Catalog::builtin().unwrap().list() {
            let findings = lint::lint(kind.text(), &kind.origin().to_string()).unwrap();
            assert!(findings.is_empty(), "{findings:?}");
        }
    }

    /// Who recognises such a manifest would be chance.
    #[test]
    fn no_two_built_in_types_claim_the_same_media_type() {
        let catalog = Catalog::builtin().unwrap();
        let mut owners = BTreeMap::new();
        for kind in catalog.list() {
            for claim in kind.definition().accept.claims() {
                let other = owners.insert(claim, kind.name());
                assert!(other.is_none_or(|other| other == kind.name()), "{claim:?}: {other:?} and {}", kind.name());
            }
        }
        assert!(owners.len() > 3, "{owners:?}");
    }
}
