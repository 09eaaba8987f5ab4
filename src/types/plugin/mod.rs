//! Plug-ins, for types that need code: programs `artifact-type-NAME` on the `PATH`.
//!
//! There are three commands, each with a JSON object on standard input and one on standard output (`artifact-plan/v1`;
//! `artifact-types/plan.md` documents every key):
//!
//! * `artifact-type-NAME describe`: [`About`], asked once;
//! * `artifact-type-NAME plan SOURCE`: a [`PlanQuestion`] for a [`Plan`];
//! * `artifact-type-NAME unpack`: an [`UnpackQuestion`] for an [`Unpacking`]; only where `describe` says so.
//!
//! A plug-in that fails writes the reason to standard error and exits with a code other than 0. It runs with the user's
//! permissions, like any program on the `PATH`. Its output is still checked: a plan stays within the source, and this
//! program writes the files, below the destination.
//!
//! Definitions and the catalog are elsewhere.

mod answers;
mod plugins;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::answers::{allowed_steps, confine_plan, read_answer};
pub use self::plugins::{Plugins, find, list};
use super::{
    definition::unpack::View,
    planning::{inputs::Inputs, portable},
};
use crate::{
    error::{Context as _, Error, Kind, Result},
    oci::{Manifest, exact_keys},
    plan::{API_VERSION, Plan, Unpacking},
    process,
    source::Source,
};

/// The prefix of a plug-in's program name.
pub const PREFIX: &str = "artifact-type-";

/// Size limit of a plug-in's output, in bytes.
pub const MAX_ANSWER: u64 = 16 << 20;

/// Time limits of plug-ins.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For `describe`.
    pub describe: Duration,
    /// For `plan`, which may read all files.
    pub plan: Duration,
    /// For `unpack`.
    pub unpack: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let [describe, plan, unpack] = [10, 600, 60].map(Duration::from_secs);
        Self { describe, plan, unpack }
    }
}

/// A plug-in's description of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct About {
    /// [`API_VERSION`].
    pub api_version: String,
    /// The name of the type, as in the program's name.
    pub name: String,
    /// The description of the type, one sentence.
    #[serde(default)]
    pub description: String,
    /// The artifact types, or config media types, of its manifests.
    #[serde(default)]
    pub artifact_types: Vec<String>,
    /// Whether it supports `unpack`.
    #[serde(default)]
    pub unpacks: bool,
}

/// A plug-in.
#[derive(Debug, Clone)]
pub struct Plugin {
    program: PathBuf,
    about: Arc<About>,
    timeouts: Timeouts,
}

/// The input of `plan`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanQuestion {
    /// [`API_VERSION`].
    pub api_version: String,
    /// The user's inputs besides the source.
    pub inputs: Inputs,
}

/// The input of `unpack`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnpackQuestion {
    /// [`API_VERSION`].
    pub api_version: String,
    /// The manifest.
    pub manifest: Manifest,
    /// The config, if it is JSON, else null.
    pub config: Value,
    /// The requested view.
    pub view: View,
}

impl Plugin {
    /// The plug-in's description of itself.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs `plan` for this source and adds the user's annotations to the result.
    ///
    /// Errors: the program fails, times out, or prints too much or an invalid plan; kind `Escape` if the plan has files
    /// outside the source.
    pub async fn plan(&self, source: &Source, inputs: &Inputs) -> Result<Plan> {
        let question = question_bytes(&PlanQuestion { api_version: API_VERSION.into(), inputs: inputs.clone() })?;
        // Absolute, so that it does not depend on the working directory.
        let path = std::path::absolute(source.path()).context(|| format!("`{source}`"))?;
        let arguments = [OsStr::new("plan"), path.as_os_str()];
        let planned = async {
            let answer = ask(&self.program, &arguments, question, self.timeouts.plan).await?;
            let mut plan: Plan = read_answer(&answer, "plan")?;
            confine_plan(&mut plan, source)?;
            plan.type_name.clone_from(&self.about.name);
            plan.root.annotate(inputs.annotations.clone());
            plan.warnings.extend(portable::warning(&plan));
            Ok::<_, Error>(plan)
        };
        planned.await.context(|| named(&self.program))
    }

    /// Runs `unpack` for this manifest. The plug-in gets the config if that is JSON.
    ///
    /// Errors: kind `Unsupported` if it only packs; two keys of the config are the same to a program that ignores case, as
    /// those in Go do; the program fails, times out, or prints too much or unsafe paths.
    pub async fn unpacking(&self, manifest: &Manifest, config: &[u8], view: View) -> Result<Unpacking> {
        let config = serde_json::from_slice(config).unwrap_or(Value::Null);
        if let Value::Object(keys) = &config {
            let ambiguous = |why| Error::invalid(format!("the config is ambiguous: {why}"));
            exact_keys::check_distinct(keys.keys()).map_err(ambiguous)?;
        }
        let api_version = API_VERSION.into();
        let question = question_bytes(&UnpackQuestion { api_version, manifest: manifest.clone(), config, view })?;
        let unpacked = async {
            if !self.about.unpacks {
                return Err(Error::unsupported("it does not support unpacking"));
            }
            let answer = ask(&self.program, &[OsStr::new("unpack")], question, self.timeouts.unpack).await?;
            allowed_steps(read_answer(&answer, "list of files")?, manifest)
        };
        unpacked.await.context(|| named(&self.program))
    }
}

/// The output of one run of a plug-in. Errors: those of [`process::run`]; it fails.
async fn ask(program: &Path, arguments: &[&OsStr], question: Vec<u8>, time: Duration) -> Result<Vec<u8>> {
    process::run(program, arguments, question, process::Limits { time, output: MAX_ANSWER }).await?.succeeded()
}

/// The name of a program in a message.
fn named(program: &Path) -> String {
    format!("plug-in `{}`", program.display())
}

fn question_bytes(question: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(question).map_err(|e| Error::caused(Kind::Internal, "cannot encode the input", e))
}
