//! Pull: an artifact comes into a layout, or becomes files again.

#[cfg(feature = "types")]
mod files;

#[cfg(feature = "types")]
pub use self::files::{UnpackOptions, Unpacked, unpack};
use crate::{
    copy::Report,
    error::{Context as _, Error, Result},
    location::{Context, CopyOptions, Location, Place, open},
    oci::Platform,
};

/// How an artifact is pulled.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// Whether signatures, SBOMs and whatever else refers to it come along.
    pub referrers: bool,
    /// Of an index, only the manifest for this platform.
    pub platform: Option<Platform>,
    /// Looks for all content, also where a name says that it is there.
    pub recheck: bool,
    /// What a name of the layout or archive stood for leaves its list.
    pub replace: bool,
    /// How many blobs move at a time; as many as pay, without it.
    pub concurrency: Option<usize>,
}

/// Copies an artifact into a layout or archive, and without asking for it nothing that refers to it. [`unpack`] makes
/// files of one.
///
/// Errors: a target that is a registry; those of [`copy`](crate::copy()). No name has moved then.
pub async fn pull(from: &str, to: &str, context: &Context, options: &Options) -> Result<Report> {
    let target: Location = to.parse()?;
    if let Place::Registry { .. } = target.place {
        return Err(Error::misuse(format!("`{to}` is in a registry: what is pulled goes into a layout or archive")));
    }
    let Options { referrers, ref platform, recheck, replace, concurrency } = *options;
    let options = CopyOptions { referrers, platform: platform.clone(), recheck, replace, concurrency };
    let pulled = async { open(from, context).await?.copy_to(&target, context, &options).await };
    pulled.await.context(|| format!("pull {from} to {to}"))
}
