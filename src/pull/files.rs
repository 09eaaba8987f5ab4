//! Unpacking an artifact into files.

use std::{path::Path, sync::Arc};

use crate::{
    copy::select,
    error::{Code, Context as _, Error, Kind, Result},
    location::{Context, Location},
    oci::{Descriptor, Index, Manifest, Parsed, Platform},
    plan::Unpacking,
    store::{self, Item, ReadStore},
    types::{ArtifactType, Catalog, MAX_CONFIG, View, generic, plugin::Plugin},
    unpack,
};

/// Options for unpacking an artifact.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct UnpackOptions {
    /// The artifact type; if `None`, the type that recognises the artifact, else the titles of its layers.
    pub type_name: Option<String>,
    /// Whether to write the files of the type's own tool, or the content.
    pub view: View,
    /// For an index, the platform to unpack.
    pub platform: Option<Platform>,
    /// Patterns for paths; only matching files and the contents of matching directories are written. Empty means all.
    pub include: Vec<String>,
    /// Replaces existing files that differ.
    pub overwrite: bool,
    /// Limit of the bytes that the artifact may become; see [`unpack::Options::allowance`].
    pub allowance: Option<u64>,
}

/// The result of unpacking.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Unpacked {
    /// The manifest that was unpacked.
    pub root: Descriptor,
    /// The files.
    pub written: unpack::Report,
    /// Warnings for the user.
    pub warnings: Vec<String>,
}

/// Writes the files of an artifact into a directory: all of them or none.
///
/// Errors: a malformed location; kind `NotFound` if the artifact does not exist; `UnknownType` if no type recognises it
/// and no layer has a title; `Ambiguous` for an index without a platform; those of [`unpack::unpack`].
pub async fn unpack(
    from: &Location,
    destination: &Path,
    context: &Context,
    options: &UnpackOptions,
) -> Result<Unpacked> {
    let opened = from.open(context).await?;
    if destination.join("oci-layout").is_file() {
        let message = format!("`{}` is an OCI layout; unpack to another directory", destination.display());
        return Err(Error::new(Kind::Invalid, message));
    }
    let store = &opened.store;
    let root = select(store, opened.resolve().await?, options.platform.as_ref()).await?;
    let bytes = store::read_manifest(store.as_ref(), &root).await?;
    let manifest = match Parsed::read(&root.media_type, &bytes)? {
        Parsed::Manifest(manifest) => manifest,
        Parsed::Index(index) => return Err(platform_wanted(from, &index)),
        Parsed::Other(_) => {
            let message = format!("{from} has no files: its manifest is of type `{}`", root.media_type);
            return Err(Error::unsupported(message));
        }
    };
    let steps = unpacking(store, &manifest, context, options).await?;
    if steps.steps.is_empty() && !manifest.layers.is_empty() {
        let message = format!("cannot unpack {from}: no artifact type recognises it, and no layer has a title");
        return Err(Error::new(Kind::UnknownType, message));
    }
    let unpacking = unpack::Options {
        overwrite: options.overwrite,
        include: options.include.clone(),
        allowance: options.allowance,
        progress: context.progress.clone(),
        ..unpack::Options::default()
    };
    let written = unpack::unpack(Arc::clone(store), &steps, destination, &unpacking)
        .await
        .context(|| format!("unpack {from} to `{}`", destination.display()))?;
    Ok(Unpacked { root, written, warnings: steps.warnings })
}

/// The error for an index without a platform.
fn platform_wanted(from: &Location, index: &Index) -> Error {
    let platforms: Vec<String> =
        index.manifests.iter().filter_map(|member| Some(format!("`{}`", member.platform.as_deref()?))).collect();
    let which = if platforms.is_empty() { "none of them has a platform".to_owned() } else { platforms.join(", ") };
    let message = format!("{from} is an index; choose a platform: {which}");
    Error::new(Kind::Ambiguous, message).with_code(Code::PlatformWanted)
}

/// How to unpack this manifest: by the named type, else the type that recognises it, else its titles.
async fn unpacking(
    store: &Arc<dyn ReadStore>,
    manifest: &Manifest,
    context: &Context,
    options: &UnpackOptions,
) -> Result<Unpacking> {
    let catalog = context.types.catalog()?;
    let config = async || store::read(store.as_ref(), &Item::blob(manifest.config.clone()), MAX_CONFIG).await;
    let (by, broken) = match &options.type_name {
        Some(name) => (By::named(name, &catalog, context).await?, Vec::new()),
        None => By::recognising(manifest, &catalog, context).await,
    };
    let mut unpacking = match by {
        By::Definition(kind) => kind.unpacking(manifest, &config().await?, options.view)?,
        By::Program(plugin) => plugin.unpacking(manifest, &config().await?, options.view).await?,
        By::Titles => generic::unpacking(manifest)?,
    };
    unpacking.warnings.extend(catalog.broken().iter().map(ToString::to_string));
    unpacking.warnings.extend(broken.iter().map(ToString::to_string));
    Ok(unpacking)
}

/// The rule that maps a manifest to files.
enum By {
    Definition(Arc<ArtifactType>),
    Program(Plugin),
    Titles,
}

impl By {
    /// The definition of this name, else the program.
    async fn named(name: &str, catalog: &Catalog, context: &Context) -> Result<Self> {
        let unknown = match catalog.get(name) {
            Ok(kind) => return Ok(Self::Definition(kind)),
            Err(unknown) => unknown,
        };
        let plugin = context.plugins().get(name).await?.ok_or_else(|| unknown.into_misuse())?;
        if plugin.about().unpacks {
            return Ok(Self::Program(plugin));
        }
        let program = plugin.program().display();
        let message = format!("`{name}` is a program, {program}, that packs but does not unpack");
        Err(Error::misuse(message).with_code(Code::TypeOnlyPacks))
    }

    /// The definition that recognises this manifest, else the program, with warnings about failed programs.
    async fn recognising(manifest: &Manifest, catalog: &Catalog, context: &Context) -> (Self, Vec<Error>) {
        if let Some((kind, _)) = catalog.recognise(manifest) {
            return (Self::Definition(kind), Vec::new());
        }
        let (plugin, broken) = context.plugins().recognise(manifest).await;
        (plugin.map_or(Self::Titles, Self::Program), broken)
    }
}
