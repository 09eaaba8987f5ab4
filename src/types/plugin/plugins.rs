//! The programs that are types: which there are, and what each says of itself.

use std::{
    collections::HashMap,
    ffi::OsStr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt as _, stream};

use super::{About, PREFIX, Plugin, Timeouts, answers::read_answer, named, process};
use crate::{
    error::{Context as _, Error, Kind, Result},
    oci::{Manifest, media_type},
    plan::API_VERSION,
    types::definition::metadata,
};

/// How many programs are asked at a time what they are.
const PARALLEL: usize = 8;

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

/// Asks a program of this name what it is.
async fn ask_about(name: &str, program: &Path, timeout: Duration) -> Result<About> {
    let answer = process::run(program, &[OsStr::new("describe")], Vec::new(), timeout).await?;
    let about: About = read_answer(&answer, "description")?;
    if about.api_version != API_VERSION {
        let message = format!("it speaks `{}`; this program speaks `{API_VERSION}`", about.api_version);
        return Err(Error::unsupported(message));
    }
    if about.name != name {
        return Err(Error::invalid(format!("it says that its name is `{}`, not `{name}`", about.name)));
    }
    Ok(about)
}
