//! Pull: an artifact comes from one location to another, or becomes files again.

#[cfg(feature = "types")]
mod files;

use std::sync::Arc;

#[cfg(feature = "types")]
pub use self::files::{UnpackOptions, Unpacked, unpack};
use crate::{
    copy::{self, Report},
    error::Result,
    location::{Context, Location, name_in},
    oci::{Descriptor, Platform, RefName},
    store::{Name, ReadStore},
};

/// How an artifact is carried from one place to another.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// Whether signatures, SBOMs and whatever else refers to it come along.
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

/// Brings an artifact from one location to another, under the tag of the target, else under its own: from a registry into
/// a layout, from an archive to a registry, whatever can be read to whatever can be written. Nothing is made at the target
/// before the source is known to have it.
///
/// Errors: no such location; kind `NotFound` when it is not there; whatever copying can meet. No name has moved then.
pub async fn pull(from: &str, to: &str, context: &Context, options: &Options) -> Result<Report> {
    carry(&from.parse()?, &to.parse()?, context, options).await
}

/// The same with locations that were read.
pub async fn carry(from: &Location, to: &Location, context: &Context, options: &Options) -> Result<Report> {
    let source = context.read(&from.place).await?;
    let (root, names) = root(&source, from, to, options.platform.as_ref()).await?;
    let target = context.write(&to.place).await?;
    let options = copy::Options {
        names,
        referrers: options.referrers,
        recheck: options.recheck,
        replace: options.replace,
        concurrency: options.concurrency,
        progress: context.progress.clone(),
        ..copy::Options::default()
    };
    copy::copy_root(&source, root, &target, &options).await
}

/// The manifest that a location means, and the names that it gets at a target: those of the target, else its own.
///
/// Errors: those of [`name_in`]; kind `NotFound` when it is not there, or not for this platform.
pub async fn root(
    store: &Arc<dyn ReadStore>,
    from: &Location,
    to: &Location,
    platform: Option<&Platform>,
) -> Result<(Descriptor, Vec<RefName>)> {
    let name = name_in(store.as_ref(), from).await?;
    let root = copy::select(store, store.resolve(&name).await?, platform).await?;
    let own = match name {
        Name::Ref(name) if from.digest.is_none() && to.digest.is_none() => Some(name),
        _ => None,
    };
    Ok((root, to.tag.clone().or(own).into_iter().collect()))
}
