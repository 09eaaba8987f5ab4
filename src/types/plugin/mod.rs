//! Types that need code: a program `artifact-type-NAME`, on the `PATH`.
//!
//! It is run in three ways, each with a JSON object on standard input and one expected on standard output
//! (`artifact-plan/v1`; `artifact-types/plan.md` shows every key):
//!
//! * `artifact-type-NAME describe`: [`About`], asked once;
//! * `artifact-type-NAME plan SOURCE`: a [`PlanQuestion`] for a [`Plan`];
//! * `artifact-type-NAME unpack`: an [`UnpackQuestion`] for an [`Unpacking`]; only where `describe` says so.
//!
//! A program that fails says why on standard error and exits with anything but 0. It runs with the rights of the user,
//! like any program on the `PATH`; what it prints is still checked: a plan stays within the source, and files are written
//! by us, below the destination.

mod process;

use std::{
    collections::HashMap,
    ffi::OsStr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::process::MAX_ANSWER;
use super::{
    definition::{metadata, unpack::View},
    planning::{inputs::Inputs, paths::checked_path},
    unpacking::generic,
};
use crate::{
    error::{Context as _, Error, Kind, Result},
    oci::{Descriptor, Manifest, media_type},
    plan::{self, API_VERSION, Action, Content, EntryKind, Part, Plan, Step, Unpacking},
    source::{self, Source},
};

/// How many programs are asked at a time what they are.
const PARALLEL: usize = 8;
/// What the name of such a program begins with.
pub const PREFIX: &str = "artifact-type-";

/// How long a program may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// To say what it is.
    pub describe: Duration,
    /// To print a plan: it may look into all files.
    pub plan: Duration,
    /// To say which files there will be.
    pub unpack: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let [describe, plan, unpack] = [10, 600, 60].map(Duration::from_secs);
        Self { describe, plan, unpack }
    }
}

/// What a program says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct About {
    /// [`API_VERSION`].
    pub api_version: String,
    /// The name of the type: that of the program.
    pub name: String,
    /// What it packs, in one sentence.
    #[serde(default)]
    pub description: String,
    /// The artifact types, or config media types, of manifests that are its own.
    #[serde(default)]
    pub artifact_types: Vec<String>,
    /// Whether it answers `unpack`.
    #[serde(default)]
    pub unpacks: bool,
}

/// A program that is a type.
#[derive(Debug, Clone)]
pub struct Plugin {
    program: PathBuf,
    about: Arc<About>,
    timeouts: Timeouts,
}

/// What `plan` is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanQuestion {
    /// [`API_VERSION`].
    pub api_version: String,
    /// What the user gave beside the source.
    pub inputs: Inputs,
}

/// What `unpack` is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnpackQuestion {
    /// [`API_VERSION`].
    pub api_version: String,
    /// The manifest.
    pub manifest: Manifest,
    /// Its config, where that is JSON.
    pub config: Value,
    /// What the user wants to see.
    pub view: View,
}

/// The programs of some directories. What one says of itself is kept, by path, size and time, and so is what is wrong with
/// its answer, or that none came.
#[derive(Debug, Clone, Default)]
pub struct Plugins {
    directories: Vec<PathBuf>,
    timeouts: Timeouts,
    known: Arc<Mutex<HashMap<State, Answer>>>,
}

/// Which program, and in which state.
type State = (PathBuf, u64, Option<SystemTime>);
/// What a program says of itself, or what is wrong with that.
type Answer = Result<Arc<About>, (Kind, String)>;

impl Plugins {
    /// Those of these directories; an earlier one wins.
    #[must_use]
    pub fn new(directories: Vec<PathBuf>, timeouts: Timeouts) -> Self {
        Self { directories, timeouts, known: Arc::default() }
    }

    /// The type of this name, if a program is it. Errors: the program does not say what it is.
    pub async fn get(&self, name: &str) -> Result<Option<Plugin>> {
        match find(name, &self.directories) {
            Some(program) => self.ask(name, program).await.map(Some),
            None => Ok(None),
        }
    }

    /// The program that knows this manifest and unpacks it, if one does: by its artifact type, else by its config. Where
    /// none does: what is wrong with programs that were asked.
    pub async fn recognise(&self, manifest: &Manifest) -> (Option<Plugin>, Vec<Error>) {
        // A config that is empty says nothing.
        let config = Some(&manifest.config.media_type).filter(|t| *t != media_type::EMPTY);
        let (mut known, mut broken) = (Vec::new(), Vec::new());
        let ask = |(name, program): (String, PathBuf)| {
            let plugins = self.clone();
            async move { plugins.ask(&name, program).await }
        };
        let asked: Vec<_> = list(&self.directories).into_iter().map(ask).collect();
        for answer in stream::iter(asked).buffered(PARALLEL).collect::<Vec<_>>().await {
            match answer {
                Ok(plugin) if plugin.about.unpacks => known.push(plugin),
                Ok(_) => {}
                Err(e) => broken.push(e),
            }
        }
        let by = |own: &String| known.iter().find(|plugin| plugin.about.artifact_types.contains(own)).cloned();
        let found = manifest.artifact_type.as_ref().and_then(by).or_else(|| config.and_then(by));
        // What is wrong with others does not matter to who has found one.
        if found.is_some() { (found, Vec::new()) } else { (None, broken) }
    }

    async fn ask(&self, name: &str, program: PathBuf) -> Result<Plugin> {
        let meta = program.metadata().context(|| named(&program))?;
        let state = (program.clone(), meta.len(), meta.modified().ok());
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = known().get(&state).cloned();
        let answer = match kept {
            Some(answer) => answer,
            None => {
                let asked = describe(name, &program, self.timeouts.describe).await.context(|| named(&program));
                let answer = match asked {
                    Ok(about) => Ok(Arc::new(about)),
                    Err(e) if is_answer(e.kind()) => Err((e.kind(), e.to_string())),
                    Err(e) => return Err(e),
                };
                known().entry(state).or_insert(answer).clone()
            }
        };
        let about = answer.map_err(|(kind, message)| Error::new(kind, message))?;
        Ok(Plugin { program, about, timeouts: self.timeouts })
    }
}

/// The program for the type of this name, in the first of these directories that has it.
#[must_use]
pub fn find(name: &str, directories: &[PathBuf]) -> Option<PathBuf> {
    let named = metadata::is_name(name);
    let paths = directories.iter().filter(|_| named).map(|dir| dir.join(format!("{PREFIX}{name}")));
    paths.into_iter().find(|path| is_program(path))
}

/// All such programs in these directories, by the name of their type; an earlier directory wins.
#[must_use]
pub fn list(directories: &[PathBuf]) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    let entries = directories.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let name = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_prefix(PREFIX));
        let Some(name) = name.filter(|n| metadata::is_name(n)) else { continue };
        if !found.iter().any(|(other, _)| other == name) && is_program(&path) {
            found.push((name.to_owned(), path));
        }
    }
    found.sort();
    found
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Whether an error of this kind is about what a program answered, or that it did not in time. One that could not be started
/// may be the next time: a machine out of processes, an interpreter that is not installed yet.
fn is_answer(kind: Kind) -> bool {
    matches!(kind, Kind::Invalid | Kind::Unsupported | Kind::Limit | Kind::Unavailable)
}

fn named(program: &Path) -> String {
    format!("plug-in `{}`", program.display())
}

/// What it says of itself.
async fn describe(name: &str, program: &Path, timeout: Duration) -> Result<About> {
    let answer = process::run(program, &[OsStr::new("describe")], Vec::new(), timeout).await?;
    let about: About = read(&answer, "description")?;
    if about.api_version != API_VERSION {
        let message = format!("it speaks `{}`; this program speaks `{API_VERSION}`", about.api_version);
        return Err(Error::unsupported(message));
    }
    if about.name != name {
        return Err(Error::invalid(format!("it says that its name is `{}`, not `{name}`", about.name)));
    }
    Ok(about)
}

impl Plugin {
    /// What it says of itself.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Lets it plan this source. Annotations that the user gives are added to what it plans.
    ///
    /// Errors: it fails, hangs, or prints too much, or what is no plan; kind `Escape` when the plan reaches outside the
    /// source.
    pub async fn plan(&self, source: &Source, inputs: &Inputs) -> Result<Plan> {
        let question = json(&PlanQuestion { api_version: API_VERSION.into(), inputs: inputs.clone() })?;
        // Absolute, so that it is the same for whoever looks at it, from wherever.
        let path = std::path::absolute(source.path()).context(|| format!("`{source}`"))?;
        let arguments = [OsStr::new("plan"), path.as_os_str()];
        let planned = async {
            let answer = process::run(&self.program, &arguments, question, self.timeouts.plan).await?;
            let mut plan: Plan = read(&answer, "plan")?;
            confine(&mut plan, source)?;
            plan.type_name.clone_from(&self.about.name);
            plan.root.annotate(inputs.annotations.clone());
            Ok::<_, Error>(plan)
        };
        planned.await.context(|| named(&self.program))
    }

    /// Lets it say which files a manifest becomes. It sees the config where that is JSON.
    ///
    /// Errors: kind `Unsupported` when it only packs; it fails, hangs, or prints too much, or what may not be unpacked.
    pub async fn unpacking(&self, manifest: &Manifest, config: &[u8], view: View) -> Result<Unpacking> {
        let config = serde_json::from_slice(config).unwrap_or(Value::Null);
        let api_version = API_VERSION.into();
        let question = json(&UnpackQuestion { api_version, manifest: manifest.clone(), config, view })?;
        let unpacked = async {
            if !self.about.unpacks {
                return Err(Error::unsupported("it packs and does not unpack"));
            }
            let answer = process::run(&self.program, &[OsStr::new("unpack")], question, self.timeouts.unpack).await?;
            allowed(read(&answer, "list of files")?, manifest)
        };
        unpacked.await.context(|| named(&self.program))
    }
}

fn json(question: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(question).map_err(|e| Error::caused(Kind::Internal, "cannot write the question", e))
}

fn read<T: serde::de::DeserializeOwned>(answer: &[u8], what: &str) -> Result<T> {
    plan::parse(answer).context(|| format!("it printed no {what} of version `{API_VERSION}`"))
}

/// Makes the base absolute. Errors: a plan that reaches outside the source.
fn confine(plan: &mut Plan, source: &Source) -> Result<()> {
    let real = |path: &Path| path.canonicalize().context(|| format!("the base `{}`", plan.base.display()));
    let base = real(&source.base().join(&plan.base))?;
    if !base.starts_with(real(source.base())?) {
        let message = format!("the base `{}` lies outside the source", plan.base.display());
        return Err(Error::new(Kind::Escape, message));
    }
    let manifests = plan.manifests().into_iter();
    manifests.flat_map(|manifest| manifest.layers.iter().chain([&manifest.config])).try_for_each(confined)?;
    plan.base = base;
    Ok(())
}

fn confined(part: &Part) -> Result<()> {
    let check = |path: &Path| source::relative(&path.to_string_lossy()).map(drop);
    match &part.content {
        Content::File(path) => check(path),
        Content::Tar { entries, .. } => entries.iter().try_for_each(|entry| match &entry.kind {
            EntryKind::File(path) => check(path),
            _ => Ok(()),
        }),
        _ => Ok(()),
    }
}

/// What a program wants unpacked, with the manifest's own descriptors. Errors: blobs that are not of this manifest, paths
/// that may not be.
fn allowed(wanted: Unpacking, manifest: &Manifest) -> Result<Unpacking> {
    let own = |blob: &Descriptor| {
        let mut all = manifest.layers.iter().chain([&manifest.config]);
        let found = all.find(|desc| desc.digest == blob.digest).cloned();
        found.ok_or_else(|| Error::invalid(format!("{} is no blob of this manifest", blob.digest)))
    };
    let path = |step: &Step| match &step.action {
        Action::Extract { .. } if step.path == "." => Ok(step.path.clone()),
        _ => checked_path(&step.path),
    };
    let step = |step: Step| Ok(Step { blob: own(&step.blob)?, path: path(&step)?, action: step.action });
    let steps: Vec<Step> = wanted.steps.into_iter().map(step).collect::<Result<_>>()?;
    generic::refuse_same_paths(&steps)?;
    Ok(Unpacking { steps, warnings: wanted.warnings })
}
