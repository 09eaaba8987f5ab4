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
//!
//! Definitions and the catalog are not for here.

mod answers;
mod plugins;
mod process;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::answers::{allowed_steps, confine_plan, read_answer};
pub use self::{
    plugins::{Plugins, find, list},
    process::MAX_ANSWER,
};
use super::{definition::unpack::View, planning::inputs::Inputs};
use crate::{
    error::{Context as _, Error, Kind, Result},
    oci::Manifest,
    plan::{API_VERSION, Plan, Unpacking},
    source::Source,
};

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
        let question = question_bytes(&PlanQuestion { api_version: API_VERSION.into(), inputs: inputs.clone() })?;
        // Absolute, so that it is the same for whoever looks at it, from wherever.
        let path = std::path::absolute(source.path()).context(|| format!("`{source}`"))?;
        let arguments = [OsStr::new("plan"), path.as_os_str()];
        let planned = async {
            let answer = process::run(&self.program, &arguments, question, self.timeouts.plan).await?;
            let mut plan: Plan = read_answer(&answer, "plan")?;
            confine_plan(&mut plan, source)?;
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
        let question = question_bytes(&UnpackQuestion { api_version, manifest: manifest.clone(), config, view })?;
        let unpacked = async {
            if !self.about.unpacks {
                return Err(Error::unsupported("it packs and does not unpack"));
            }
            let answer = process::run(&self.program, &[OsStr::new("unpack")], question, self.timeouts.unpack).await?;
            allowed_steps(read_answer(&answer, "list of files")?, manifest)
        };
        unpacked.await.context(|| named(&self.program))
    }
}

/// A program in a message.
fn named(program: &Path) -> String {
    format!("plug-in `{}`", program.display())
}

fn question_bytes(question: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(question).map_err(|e| Error::caused(Kind::Internal, "cannot write the question", e))
}
