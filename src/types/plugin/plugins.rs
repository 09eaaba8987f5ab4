//! The available plug-ins and their descriptions.

use std::{
    collections::HashMap,
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt as _, stream};

use super::{About, PREFIX, Plugin, Timeouts, answers::read_answer, ask, named};
use crate::{
    error::{Context as _, Error, Kind, Result},
    oci::{Manifest, media_type},
    plan::API_VERSION,
    process,
    types::definition::metadata,
};

/// Limit of concurrent `describe` runs.
const PARALLEL: usize = 8;

/// The plug-ins in some directories. Descriptions are cached by path, size and modification time, as are errors and
/// timeouts.
#[derive(Debug, Clone, Default)]
pub struct Plugins {
    directories: Vec<PathBuf>,
    timeouts: Timeouts,
    known: Arc<Mutex<HashMap<State, Answer>>>,
}

/// A program with its size and modification time.
type State = (PathBuf, u64, Option<SystemTime>);

/// A program's description, or its error.
type Answer = Result<Arc<About>, (Kind, String)>;

impl Plugins {
    /// The plug-ins in these directories; earlier ones win.
    #[must_use]
    pub fn new(directories: Vec<PathBuf>, timeouts: Timeouts) -> Self {
        Self { directories, timeouts, known: Arc::default() }
    }

    /// The plug-in for the type with this name, if any. Errors: `describe` fails.
    pub async fn get(&self, name: &str) -> Result<Option<Plugin>> {
        match find(name, &self.directories) {
            Some(program) => self.ask(name, program).await.map(Some),
            None => Ok(None),
        }
    }

    /// The plug-in that recognises and unpacks this manifest, by its artifact type, else by its config. If there is
    /// none, also the errors of the programs asked.
    pub async fn recognise(&self, manifest: &Manifest) -> (Option<Plugin>, Vec<Error>) {
        // An empty config identifies no type.
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
        // With a match, errors of other plug-ins do not matter.
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
                let asked = ask_about(name, &program, self.timeouts.describe).await.context(|| named(&program));
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

/// The program for the type with this name, in the first of these directories that has it; relative ones are skipped.
#[must_use]
pub fn find(name: &str, directories: &[PathBuf]) -> Option<PathBuf> {
    if metadata::is_name(name) { process::find(&format!("{PREFIX}{name}"), directories) } else { None }
}

/// All plug-in programs in these directories by type name; earlier directories win, relative ones are skipped.
#[must_use]
pub fn list(directories: &[PathBuf]) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    let absolute = directories.iter().filter(|dir| dir.is_absolute());
    let entries = absolute.filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let name = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_prefix(PREFIX));
        let Some(name) = name.filter(|n| metadata::is_name(n)) else { continue };
        if !found.iter().any(|(other, _)| other == name) && process::is_program(&path) {
            found.push((name.to_owned(), path));
        }
    }
    found.sort();
    found
}

/// Whether an error of this kind is final: a wrong answer or a timeout. A program that did not start may start next
/// time: the machine was out of processes, or an interpreter is not installed yet.
fn is_answer(kind: Kind) -> bool {
    matches!(kind, Kind::Invalid | Kind::Unsupported | Kind::Limit | Kind::Unavailable)
}

/// Runs `describe` of a program.
async fn ask_about(name: &str, program: &Path, timeout: Duration) -> Result<About> {
    let answer = ask(program, &[OsStr::new("describe")], Vec::new(), timeout).await?;
    let about: About = read_answer(&answer, "description")?;
    if about.api_version != API_VERSION {
        let message = format!("it uses version `{}`; expected `{API_VERSION}`", about.api_version);
        return Err(Error::unsupported(message));
    }
    if about.name != name {
        return Err(Error::invalid(format!("its description has the name `{}`, not `{name}`", about.name)));
    }
    Ok(about)
}
