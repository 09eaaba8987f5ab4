//! The verb copy: one artifact, from a location to a location.

use super::{Context, Location, Opened, name_in, open};
use crate::{
    copy::{self, Report},
    error::{Context as _, Result},
    graph::Root,
    oci::Platform,
    store::Name,
};

/// How an artifact is copied from one location to another.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CopyOptions {
    /// Whether signatures, SBOMs and whatever else refers to it come along; they do by default.
    pub referrers: bool,
    /// Of an index, only the manifest for this platform.
    pub platform: Option<Platform>,
    /// Looks for all content, also where a name says that it is there.
    pub recheck: bool,
    /// What a name of a layout or archive stood for leaves its list.
    pub replace: bool,
    /// How many blobs move at a time; as many as pay, without it.
    pub concurrency: Option<usize>,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self { referrers: true, platform: None, recheck: false, replace: false, concurrency: None }
    }
}

/// Copies an artifact, and what refers to it, from one location to another, under the tag of the target, else under its
/// own: from a registry into a layout, from an archive to a registry, whatever can be read to whatever can be written.
/// Nothing is made at the target before the source is known to have it.
///
/// Both ends are reached by one context; [`Opened::copy_to`] is for two. Many artifacts at once, gates and plans are for
/// the engine, [`mod@crate::copy`].
///
/// Errors: no such location; kind `NotFound` when it is not there, or not for this platform; whatever copying can meet. No
/// name has moved then.
pub async fn copy(from: &str, to: &str, context: &Context, options: &CopyOptions) -> Result<Report> {
    let target: Location = to.parse()?;
    let copied = async { open(from, context).await?.copy_to(&target, context, options).await };
    copied.await.context(|| format!("copy {from} to {to}"))
}

impl Opened {
    /// The manifest that is meant, of an index the one for this platform, and the names that it gets at a target: those of
    /// the target, else its own.
    ///
    /// Errors: those of [`name_in`]; kind `NotFound` when it is not there, or not for this platform.
    pub async fn root(&self, to: &Location, platform: Option<&Platform>) -> Result<Root> {
        let Self { location: from, store } = self;
        let name = name_in(store.as_ref(), from).await?;
        let root = copy::select(store, store.resolve(&name).await?, platform).await?;
        let own = match name {
            Name::Ref(name) if from.digest.is_none() && to.digest.is_none() => Some(name),
            _ => None,
        };
        Ok(Root::new(root, to.tag.clone().or(own).into_iter().collect()))
    }

    /// Copies the artifact that is meant to another location, which may be reached by another context: see [`copy()`].
    pub async fn copy_to(&self, to: &Location, context: &Context, options: &CopyOptions) -> Result<Report> {
        let root = self.root(to, options.platform.as_ref()).await?;
        let target = context.write(&to.place).await?;
        let options = copy::Options {
            referrers: options.referrers,
            recheck: options.recheck,
            replace: options.replace,
            concurrency: options.concurrency,
            progress: context.progress.clone(),
            ..copy::Options::default()
        };
        copy::copy_roots(std::slice::from_ref(&self.store), vec![root], &target, &options).await
    }
}
