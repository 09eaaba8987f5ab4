//! Pull: copies an artifact into a layout, or unpacks it into files.

#[cfg(feature = "types")]
mod files;

#[cfg(feature = "types")]
pub use self::files::{UnpackOptions, Unpacked, unpack};
use crate::{
    copy::{Report, Selection},
    error::{Context as _, Error, Result},
    location::{Context, CopyOptions, Location, Place, open},
};

/// Options for pulling an artifact.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// Also pulls signatures, SBOMs and all other referrers.
    pub referrers: bool,
    /// For an index, which of its members to pull.
    pub selection: Selection,
    /// Checks for all content, even if the name already stands for the artifact.
    pub recheck: bool,
    /// In the layout or archive, unlists the manifest that a name stood for before.
    pub replace: bool,
    /// How many blobs move at a time; chosen automatically if `None`.
    pub concurrency: Option<usize>,
}

/// Copies an artifact into a layout or archive, by default without its referrers. To get files, use [`unpack`].
///
/// Errors: a target in a registry; those of [`copy`](crate::copy()). No name has moved then.
pub async fn pull(from: &str, to: &str, context: &Context, options: &Options) -> Result<Report> {
    let target: Location = to.parse()?;
    if let Place::Registry { .. } = target.place {
        return Err(Error::misuse(format!(
            "cannot pull to `{to}`, which is in a registry; pull to a layout or archive"
        )));
    }
    let Options { referrers, ref selection, recheck, replace, concurrency } = *options;
    let options = CopyOptions { referrers, selection: selection.clone(), recheck, replace, concurrency };
    let pulled = async { open(from, context).await?.copy_to(&target, context, &options).await };
    pulled.await.context(|| format!("pull {from} to {to}"))
}
