//! Unpacking an artifact into files.

use std::{path::Path, sync::Arc};

use crate::{
    copy::{here, select},
    error::{Code, Context as _, Error, Kind, Result},
    location::{Context, Location},
    oci::{Descriptor, Index, Manifest, Parsed, Platform},
    plan::Unpacking,
    store::{self, Item, ReadStore},
    types::{ArtifactType, Catalog, MAX_CONFIG, View, generic, plugin::Plugin},
    unpack,
};

/// Most members of an index that are looked at to find the one to unpack.
const MAX_MEMBERS: usize = 32;

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
/// An artifact that no type recognises, without a layer that has a title, has no files, and a warning. Errors: a malformed
/// location; kind `NotFound` if the artifact does not exist; `Ambiguous` for an index with several members that
/// could be meant; those of [`unpack::unpack`].
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
    let mut root = select(store, opened.resolve().await?, options.platform.as_ref()).await?;
    let mut parsed = read(store, &root).await?;
    let mut notes = Vec::new();
    if let Parsed::Index(index) = &parsed {
        let member = member(store, from, (&root, index), context, options.type_name.as_deref()).await?;
        notes.push(format!("{from} is an index; unpacking its member {}", member.digest));
        parsed = read(store, &member).await?;
        root = member;
    }
    let Parsed::Manifest(manifest) = parsed else {
        let message = format!("{from} has no files: its manifest is of type `{}`", root.media_type);
        return Err(Error::unsupported(message));
    };
    let steps = unpacking(store, &manifest, context, options).await?;
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
    Ok(Unpacked { root, written, warnings: notes.into_iter().chain(steps.warnings).collect() })
}

async fn read(store: &Arc<dyn ReadStore>, desc: &Descriptor) -> Result<Parsed> {
    Parsed::read(&desc.media_type, &store::read_manifest(store.as_ref(), desc).await?)
}

/// The member of an index to unpack if no platform is given: the only one; else the only one of the named type, or, if
/// none is named, of any type.
///
/// Errors: kind `Ambiguous` if there are several, or none of them; kind `NotFound` if the index is empty.
async fn member(
    store: &Arc<dyn ReadStore>,
    from: &Location,
    (root, index): (&Descriptor, &Index),
    context: &Context,
    type_name: Option<&str>,
) -> Result<Descriptor> {
    let members = here(store.as_ref(), root, index.manifests.iter().collect()).await?;
    if let [only] = members.as_slice() {
        return Ok((*only).clone());
    }
    if index.manifests.is_empty() {
        return Err(Error::not_found(format!("{from} is an index without members: there is nothing to unpack")));
    }
    let catalog = context.types.catalog()?;
    // A program that is a type does not say which manifests it knows before it is asked for one.
    let named = type_name.and_then(|name| catalog.get(name).ok());
    let mut fitting = Vec::new();
    for member in members.iter().copied().take(MAX_MEMBERS) {
        let recognised = catalog.recognise(&read(store, member).await?);
        if recognised.is_some_and(|(kind, _)| named.as_ref().is_none_or(|named| named.name() == kind.name())) {
            fitting.push(member);
        }
    }
    match fitting.as_slice() {
        // Of members beyond the limit, another may fit, too.
        [only] if members.len() <= MAX_MEMBERS => Ok((*only).clone()),
        _ => Err(member_wanted(from, &members)),
    }
}

/// The error for an index of which no single member can be unpacked: lists them.
fn member_wanted(from: &Location, all: &[&Descriptor]) -> Error {
    let shown = |member: &&Descriptor| match member.platform.as_deref() {
        Some(platform) => format!("`{platform}`"),
        None => format!("`@{}`", member.digest),
    };
    let members: Vec<String> = all.iter().take(MAX_MEMBERS).map(shown).collect();
    let more = match all.len().saturating_sub(MAX_MEMBERS) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let message = format!("{from} is an index; choose a platform or a digest: {}{more}", members.join(", "));
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
    let why = if matches!(by, By::Titles) { ": no layer has a title" } else { "" };
    let mut unpacking = match by {
        By::Definition(kind) => kind.unpacking(manifest, &config().await?, options.view)?,
        By::Program(plugin) => plugin.unpacking(manifest, &config().await?, options.view).await?,
        By::Titles => generic::unpacking(manifest)?,
    };
    if unpacking.steps.is_empty() && unpacking.warnings.is_empty() {
        unpacking.warnings.push(format!("the artifact has no files{why}"));
    }
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
