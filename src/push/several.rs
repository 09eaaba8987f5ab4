//! Several sources as one file bundle, and what a user says about its blobs beside them.

use std::{
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde_json::Value;

use super::{Options, Planned, Planner, plan_one};
use crate::{
    error::{Code, Context as _, Error, Kind, Result},
    glob::{Effort, Globs},
    location::{Context, Location},
    oci::{annotation, media_type},
    plan::{Content, Document, EntryKind, ManifestPlan, Part, Plan},
    source::{Source, relative},
};

/// The type of what has several sources.
const BUNDLE: &str = "file-bundle";
/// The media type of a config that is a file and says none, as oras gives it.
const UNKNOWN_CONFIG: &str = "application/vnd.unknown.config.v1+json";

/// A file or directory as users write it: `PATH`, or `PATH:MEDIA/TYPE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The path.
    pub path: PathBuf,
    /// The media type of its layer, if it is said.
    pub media_type: Option<String>,
}

impl FromStr for SourceFile {
    type Err = std::convert::Infallible;

    /// What follows the last colon is a media type if it looks like one, unless there is a file with the whole name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let typed = text.rsplit_once(':').filter(|(path, kind)| !path.is_empty() && media_type::is_valid(kind));
        Ok(match typed {
            Some((path, kind)) if fs::symlink_metadata(text).is_err() => {
                Self { path: path.into(), media_type: Some(kind.into()) }
            }
            _ => Self { path: text.into(), media_type: None },
        })
    }
}

impl From<PathBuf> for SourceFile {
    fn from(path: PathBuf) -> Self {
        Self { path, media_type: None }
    }
}

/// The plan for these sources: that of the only one, else a file bundle with the layers of all.
///
/// Errors: those of one source; a type that is no file bundle; two layers of one title; a glob for media types that fits
/// no layer.
pub(super) async fn plan(
    sources: &[SourceFile],
    location: Option<&Location>,
    context: &Context,
    options: &Options,
) -> Result<Planned> {
    let is_plain = |source: &SourceFile| source.media_type.is_none();
    let mut planned = match sources {
        [] => return Err(Error::misuse("there is no source")),
        [one] if is_plain(one) && options.config.is_none() => {
            plan_one(&Source::open(&one.path)?, location, context, options).await?
        }
        all => bundle(all, location, context, options).await?,
    };
    name_media_types(&mut planned.plan, options)?;
    Ok(planned)
}

async fn bundle(
    sources: &[SourceFile],
    location: Option<&Location>,
    context: &Context,
    options: &Options,
) -> Result<Planned> {
    if let Some(name) = options.type_name.as_ref().filter(|name| !matches!(name.as_str(), BUNDLE | "files")) {
        let message = format!(
            "several sources, a media type or a config make a `{BUNDLE}`, not a `{name}`; `attach` makes an artifact of each source"
        );
        return Err(Error::misuse(message));
    }
    let named = options.type_name.is_some();
    let options = Options { type_name: Some(BUNDLE.into()), ..options.clone() };
    let mut all = Vec::new();
    for source in sources {
        let one = async {
            let opened = Source::open(&source.path)?;
            let mut planned = plan_one(&opened, location, context, &options).await?;
            if sources.len() > 1 {
                retitle(&mut planned.plan, &opened, source)?;
            }
            set_media_type(&mut planned.plan, source)?;
            Ok::<_, Error>(planned)
        };
        all.push(one.await.context(|| crate::fs::escape(&source.path))?);
    }
    let config = options.config.as_ref().map(|config| Source::open(&config.path)).transpose()?;
    let bases = all.iter().map(|planned| planned.plan.base.as_path()).chain(config.iter().map(Source::base));
    let base = common_base(bases)?;
    let form = common_form(&all);
    let mut all = all.into_iter();
    let Some(mut first) = all.next() else { return Err(Error::misuse("there is no source")) };
    rebase(&mut first.plan, &base)?;
    for Planned { mut plan, .. } in all {
        rebase(&mut plan, &base)?;
        join(&mut first.plan, plan)?;
    }
    if let (Some(source), Some(opened)) = (&options.config, &config) {
        set_config(&mut first.plan, source, opened, &base, &options)?;
    }
    check_places(manifest(&mut first.plan)?)?;
    let why = match sources {
        [_, _, ..] => format!("{} sources", sources.len()),
        _ if named => first.planner.why(),
        _ if config.is_some() => "a config is given".to_owned(),
        _ => "a media type is given".to_owned(),
    };
    if let Some(origin) = first.planner.origin().cloned() {
        first.planner = Planner::Bundle { form, origin, why };
    }
    Ok(first)
}

/// The form that all of these have.
fn common_form(all: &[Planned]) -> Option<String> {
    let forms: Vec<_> = all.iter().map(|planned| planned.planner.form()).collect();
    let first = forms.first().copied().flatten()?;
    forms.iter().all(|form| *form == Some(first)).then(|| first.to_owned())
}

fn manifest(plan: &mut Plan) -> Result<&mut ManifestPlan> {
    match &mut plan.root {
        Document::Manifest(manifest) => Ok(manifest),
        Document::Index(_) => Err(Error::new(Kind::Internal, "a file bundle is no index")),
    }
}

/// Gives the files of a source the path by which the user named it, as oras does. A directory that is one layer keeps its
/// own name.
fn retitle(plan: &mut Plan, opened: &Source, source: &SourceFile) -> Result<()> {
    let path = source.path.to_str().and_then(|path| relative(path).ok()).filter(|path| !path.is_empty());
    let path = path.unwrap_or_else(|| opened.name().to_owned());
    let is_file = opened.file().is_some();
    for layer in &mut manifest(plan)?.layers {
        if let (Content::File(_), Some(Value::String(title))) =
            (&layer.content, layer.annotations.get_mut(annotation::TITLE))
        {
            *title = if is_file { path.clone() } else { format!("{path}/{title}") };
        }
    }
    Ok(())
}

fn set_media_type(plan: &mut Plan, source: &SourceFile) -> Result<()> {
    if let Some(kind) = &source.media_type {
        manifest(plan)?.layers.iter_mut().for_each(|layer| layer.media_type.clone_from(kind));
    }
    Ok(())
}

/// The directory that contains all of these.
fn common_base<'a>(bases: impl Iterator<Item = &'a Path>) -> Result<PathBuf> {
    let mut common: Option<PathBuf> = None;
    for base in bases {
        let real = fs::canonicalize(base).context(|| format!("cannot read `{}`", base.display()))?;
        common = Some(match common {
            None => real,
            Some(common) => {
                common.components().zip(real.components()).map_while(|(a, b)| (a == b).then_some(a)).collect()
            }
        });
    }
    common.ok_or_else(|| Error::misuse("there is no source"))
}

/// Makes the files of a plan relative to a directory above its base.
fn rebase(plan: &mut Plan, base: &Path) -> Result<()> {
    let real = fs::canonicalize(&plan.base).context(|| format!("cannot read `{}`", plan.base.display()))?;
    let below = real.strip_prefix(base).unwrap_or(Path::new("")).to_owned();
    for layer in &mut manifest(plan)?.layers {
        match &mut layer.content {
            Content::File(path) => *path = below.join(&*path),
            Content::Tar { entries, .. } => {
                let kinds = entries.iter_mut().map(|entry| &mut entry.kind);
                for kind in kinds {
                    if let EntryKind::File(path) = kind {
                        *path = below.join(&*path);
                    }
                }
            }
            Content::Empty {} | Content::Text(_) | Content::Json { .. } => {}
        }
    }
    plan.base = base.to_owned();
    Ok(())
}

/// Adds the layers of another plan.
fn join(plan: &mut Plan, mut other: Plan) -> Result<()> {
    let more = std::mem::take(&mut manifest(&mut other)?.layers);
    let reads = manifest(&mut other)?.reads.take();
    let own = manifest(plan)?;
    let before = own.layers.len();
    let values = |layer: &mut Part| layer.annotations.values_mut().for_each(|value| shift(value, before));
    own.layers.extend(more.into_iter().map(|mut layer| {
        values(&mut layer);
        layer
    }));
    if let (Some(own), Some(reads)) = (&mut own.reads, reads) {
        own.files = own.files.saturating_add(reads.files);
        own.bytes = own.bytes.saturating_add(reads.bytes);
    }
    for warning in other.warnings {
        if !plan.warnings.contains(&warning) {
            plan.warnings.push(warning);
        }
    }
    Ok(())
}

/// Moves the layer that a value quotes, if it is a quote, behind those that are before it now.
fn shift(value: &mut Value, by: usize) {
    if let Some(at) = value.get("$layer").and_then(Value::as_u64).and_then(|at| usize::try_from(at).ok())
        && let Some(place) = value.get_mut("$layer")
    {
        *place = at.saturating_add(by).into();
    }
}

/// Takes a file as the config. The manifest has its media type then, and an artifact type only if one was asked for.
fn set_config(plan: &mut Plan, source: &SourceFile, opened: &Source, base: &Path, options: &Options) -> Result<()> {
    let name = opened.file().ok_or_else(|| Error::misuse(format!("the config `{opened}` is a directory")))?;
    let real = fs::canonicalize(opened.base()).context(|| format!("cannot read `{opened}`"))?;
    let path = real.strip_prefix(base).unwrap_or(Path::new("")).join(name);
    let own = manifest(plan)?;
    let media_type = source.media_type.clone().unwrap_or_else(|| UNKNOWN_CONFIG.into());
    own.config =
        Part { id: "config".into(), media_type, content: Content::File(path), annotations: Default::default() };
    if options.artifact_type.is_none() && !options.set.contains_key("artifactType") {
        own.artifact_type = None;
    }
    Ok(())
}

/// Errors (kind `Exists`): a file would be unpacked into a directory that is a layer of its own. Packing looks for equal
/// titles.
fn check_places(manifest: &ManifestPlan) -> Result<()> {
    let titled = |layer: &'_ Part| layer.annotations.get(annotation::TITLE).and_then(Value::as_str).map(str::to_owned);
    let is_directory = |layer: &&Part| matches!(layer.content, Content::Tar { .. });
    let directories: Vec<String> = manifest.layers.iter().filter(is_directory).filter_map(titled).collect();
    for title in manifest.layers.iter().filter_map(titled) {
        let within =
            |directory: &&String| title.strip_prefix(directory.as_str()).is_some_and(|rest| rest.starts_with('/'));
        if let Some(directory) = directories.iter().find(within) {
            let (title, directory) = (crate::fs::escape(&title), crate::fs::escape(directory));
            let message = format!("`{title}` would be unpacked into `{directory}`, which is a layer of its own");
            return Err(Error::new(Kind::Exists, message).with_code(Code::TitleTaken));
        }
    }
    Ok(())
}

/// Gives layers the media types that the user wants for their titles.
fn name_media_types(plan: &mut Plan, options: &Options) -> Result<()> {
    for (glob, kind) in &options.media_types {
        let globs = Globs::new([glob.as_str()]).map_err(Error::into_misuse)?;
        let effort = Effort::default();
        let mut used = false;
        let layers = match &mut plan.root {
            Document::Manifest(manifest) => manifest.layers.as_mut_slice(),
            Document::Index(_) => &mut [],
        };
        for layer in layers {
            let Some(Value::String(title)) = layer.annotations.get(annotation::TITLE) else { continue };
            if globs.matches(title, &effort)? {
                used = true;
                layer.media_type.clone_from(kind);
            }
        }
        if !used {
            let message = format!("`{}={kind}` fits no layer: no title matches", crate::fs::escape(glob));
            return Err(Error::misuse(message).with_code(Code::NothingMatches));
        }
    }
    Ok(())
}
