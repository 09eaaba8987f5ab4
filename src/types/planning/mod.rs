//! Plans an artifact from a source and its definition: `source` reads the declared files, and each section plans its
//! part in the file of the same name.
//!
//! It reads only declared files below the source. Stores and artifacts are elsewhere.

pub(super) mod annotations;
mod config;
mod documents;
mod files;
mod index;
pub(super) mod inputs;
mod layers;
mod manifest;
mod params;
mod parts;
pub(super) mod paths;
mod planned;
pub(super) mod portable;
mod reading;
mod reference;
mod sets;
mod source;
mod tar;
mod validate;
mod vars;

use std::path::PathBuf;

use self::{inputs::Inputs, reading::Reading};
use super::{definition::Definition, language::expr::Engine};
use crate::{
    error::Result,
    plan::{ManifestPlan, Plan},
    source::Source,
};

/// Plans a source with this form. Errors name the layer, set, document or parameter at fault.
pub(super) fn plan(
    definition: &Definition,
    engine: &Engine,
    source: &Source,
    inputs: &Inputs,
    form: &str,
) -> Result<Plan> {
    let mut reading = source::read(definition, engine, source, inputs, form)?;
    let mut warnings = reading.warnings.clone();
    let root = match &definition.index {
        None => {
            let (manifest, with_layers) = plan_manifest(&reading, &mut warnings)?;
            reading = with_layers;
            manifest.into()
        }
        Some(index) => {
            let manifest = |member: &Reading<'_>| Ok(plan_manifest(member, &mut warnings)?.0);
            index.plan(&reading, manifest)?.into()
        }
    };
    let (reference, tag_warning) = definition.reference.plan(&reading)?;
    warnings.extend(tag_warning);
    let type_name = definition.metadata.name.clone();
    Ok(Plan { type_name, base: PathBuf::from(source.base()), root, reference, warnings })
}

/// Number of layers from which on there is a warning.
const MANY_LAYERS: usize = 500;

/// The warning about many layers.
fn many_layers(count: usize) -> Option<String> {
    let message =
        format!("the artifact has {count} layers, which some registries refuse; fewer and larger ones are safer");
    (count >= MANY_LAYERS).then_some(message)
}

/// Plans a manifest; also returns the reading with its layers.
fn plan_manifest<'a>(reading: &Reading<'a>, warnings: &mut Vec<String>) -> Result<(ManifestPlan, Reading<'a>)> {
    let definition = reading.definition;
    let layers = definition.layers.plan(reading)?;
    let reading = reading.with_all(layers.names());
    let rule = definition.config.0.iter().find(|config| reading.has_form(&config.forms));
    let config = rule.map_or_else(|| Ok(config::none()), |config| config.plan(&reading))?;
    let mut reads = layers.reads;
    if let Some(set) = rule.and_then(|config| config.raw.as_ref()) {
        reads += files::reads(reading.set(set)?);
    }
    let mut manifest = definition.manifest.plan(&reading, config, layers.parts, definition.layers.order)?;
    manifest.reads = Some(reads);
    warnings.extend(many_layers(manifest.layers.len()));
    warnings.extend(validate::check(&definition.validate, &reading)?);
    Ok((manifest, reading))
}
