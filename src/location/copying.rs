//! The verb copy: one artifact, from one location to another.

use super::{Context, Location, Opened, Place, name_in, open};
use crate::{
    copy::{self, Report, Selected, Selection, naming::SourceName},
    error::{Context as _, Result},
    oci::RefName,
    store::Name,
};

/// Options for copying an artifact from one location to another.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CopyOptions {
    /// Also copies signatures, SBOMs and all other referrers; true by default.
    pub referrers: bool,
    /// For an index, which of its members to copy.
    pub selection: Selection,
    /// Checks for all content, even if the name already stands for the artifact.
    pub recheck: bool,
    /// In a layout or archive, unlists the manifest that a name stood for before.
    pub replace: bool,
    /// How many blobs move at a time; chosen automatically if `None`.
    pub concurrency: Option<usize>,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self { referrers: true, selection: Selection::default(), recheck: false, replace: false, concurrency: None }
    }
}

/// Copies an artifact and its referrers from one location to another, under the tag of the target, else under its own:
/// from a registry into a layout, from an archive to a registry, and so on. Nothing is created at the target before the
/// artifact is found at the source.
///
/// Both ends are reached with one context; [`Opened::copy_to`] takes two. For many artifacts at once, gates and plans,
/// see the engine, [`mod@crate::copy`].
///
/// Errors: a malformed location; kind `NotFound` if the artifact, or a manifest for the platform, does not exist; any
/// failure of copying. No name has moved then.
pub async fn copy(from: &str, to: &str, context: &Context, options: &CopyOptions) -> Result<Report> {
    let target: Location = to.parse()?;
    let copied = async { open(from, context).await?.copy_to(&target, context, options).await };
    copied.await.context(|| format!("copy {from} to {to}"))
}

impl Opened {
    /// The manifest to copy, for an index what is selected of it, and its names at a target: those of the target, else
    /// its own.
    ///
    /// Errors: those of [`name_in`]; kind `Misuse` for a name of its own that a registry cannot hold; kind `NotFound` if
    /// the manifest, or one for a platform, does not exist.
    pub async fn root(&self, to: &Location, selection: &Selection) -> Result<(Selected, Vec<RefName>)> {
        let Self { location: from, store } = self;
        let name = name_in(store.as_ref(), from).await?;
        let selected = copy::narrow(store, store.resolve(&name).await?, selection).await?;
        // With a digest, the tag is only a name; it is the artifact's, as in a list.
        let own = match name {
            _ if to.digest.is_some() || to.tag.is_some() => None,
            Name::Ref(name) if from.digest.is_none() => Some(name),
            _ => from.tag.clone(),
        };
        // A registry holds tags; a layout may name an artifact by a whole reference.
        let own = match (&to.place, own) {
            (Place::Registry { .. }, Some(own)) => {
                let tag = SourceName::from(&own).tag();
                tag.context(|| format!("{to} needs a tag: {from} names the artifact `{own}`"))?.map(Into::into)
            }
            (_, own) => own,
        };
        Ok((selected, to.tag.clone().or(own).into_iter().collect()))
    }

    /// Copies the artifact to another location, which may be reached with another context: see [`copy()`].
    pub async fn copy_to(&self, to: &Location, context: &Context, options: &CopyOptions) -> Result<Report> {
        let (selected, names) = self.root(to, &options.selection).await?;
        let target = context.write(&to.place).await?;
        let options = copy::Options {
            referrers: options.referrers,
            recheck: options.recheck,
            replace: options.replace,
            concurrency: options.concurrency,
            progress: context.progress.clone(),
            ..copy::Options::default()
        };
        let (from, root) = (selected.store(&self.store), selected.to_root(names));
        let report = copy::copy_roots(&[from], vec![root], &target, &options).await?;
        let (indexes, partial) = (selected.made.into_iter().collect(), selected.partial.into_iter().collect());
        Ok(Report { indexes, partial, ..report })
    }
}
