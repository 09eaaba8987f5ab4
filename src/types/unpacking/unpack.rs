//! The section `unpack`: the steps that turn an artifact into files.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::generic;
use crate::{
    error::{Context as _, Error, Result},
    oci::{Descriptor, Manifest, exact_keys},
    plan::{Action, Step, Unpacking},
    types::{
        check::used_names,
        definition::{
            Definition,
            accept::OtherLayers,
            many::Template,
            tar,
            unpack::{Rule, Unpack, View},
        },
        language::{expr::Engine, schema::Schema, scope::Scope, values::Value},
        planning::paths::shortest,
    },
};

impl Rule {
    /// The names in the config that the rule uses, `config.name`.
    fn names_in_config(&self, engine: &Engine) -> BTreeSet<String> {
        let mut names = used_names(engine, |texts| self.texts(texts));
        names.retain(|name| name.split('.').next() == Some("config"));
        names
    }

    fn takes(&self, role: Option<&str>) -> bool {
        self.layer.as_deref().is_some_and(|wanted| wanted == "*" || Some(wanted) == role)
    }

    fn step(&self, blob: &Descriptor, engine: &Engine, scope: &Scope) -> Result<Option<Step>> {
        if !self.when.as_ref().map_or(Ok(true), |e| engine.truth(&e.0, scope))? {
            return Ok(None);
        }
        let path = |template: &Template| engine.text(&template.0, scope).and_then(|p| shortest(&p));
        let (path, action) = match (&self.write, &self.extract) {
            (Some(write), _) => (path(write)?, Action::Write { mode: self.mode()? }),
            (None, Some(extract)) => {
                let root = extract.root.as_ref().map(path).transpose()?;
                let compress = match &extract.compress {
                    Some(compress) => tar::compression(compress)?,
                    None => generic::compression_of(&blob.media_type),
                };
                let to = extract.to.as_ref().map_or_else(|| Ok(".".into()), path)?;
                (to, Action::Extract { compress, root, strip: extract.strip, links: extract.links, diff_id: None })
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Step { blob: blob.clone(), path, action }))
    }
}

/// The rules of a view.
fn rules(unpack: &Unpack, wanted: View) -> &[Rule] {
    match wanted {
        View::Native if !unpack.native.is_empty() => &unpack.native,
        View::Tree if !unpack.tree.is_empty() => &unpack.tree,
        _ if !unpack.native.is_empty() => &unpack.native,
        _ => &unpack.tree,
    }
}

/// Whether [`plan`] needs the content of the config.
pub(in crate::types) fn reads_config(definition: &Definition, engine: &Engine, wanted: View) -> bool {
    rules(&definition.unpack, wanted).iter().any(|rule| !rule.names_in_config(engine).is_empty())
}

/// The steps that unpack this manifest, by the rules of this definition.
///
/// Errors: kind `Mismatch` for missing or unexpected layers; an unsafe path; two files with one name; a config that
/// readers that ignore case read otherwise.
pub(in crate::types) fn plan(
    definition: &Definition,
    engine: &Engine,
    manifest: &Manifest,
    config: &[u8],
    wanted: View,
) -> Result<Unpacking> {
    let roles = definition.accept.roles(manifest)?;
    let rules = rules(&definition.unpack, wanted);
    if rules.is_empty() {
        return generic::unpacking(manifest);
    }
    let config: Json = serde_json::from_slice(config).unwrap_or(Json::Null);
    let names = rules.iter().flat_map(|rule| rule.names_in_config(engine)).collect::<BTreeSet<_>>();
    names.iter().try_for_each(|name| check_keys(&config, name))?;
    // Missing keys are blank.
    let scope = Scope::default().with("config", Value::view(&config, Some(Schema::object())));
    scope.account().has_files(manifest.layers.len());
    let mut out = Unpacking::default();
    for (layer, role) in manifest.layers.iter().zip(&roles) {
        let before = out.steps.len();
        let inner = scope.with("layer", layer_value(layer)?);
        for rule in rules.iter().filter(|r| r.takes(*role)) {
            out.steps.extend(rule.step(layer, engine, &inner).context(|| name_of(layer))?);
        }
        if out.steps.len() == before && role.is_none() {
            leave_or_keep(definition, layer, &mut out)?;
        }
    }
    for rule in rules.iter().filter(|r| r.config) {
        out.steps.extend(
            rule.step(&manifest.config, engine, &scope.with("layer", Value::Blank(None))).context(|| "config")?,
        );
    }
    generic::refuse_same_paths(&out.steps)?;
    Ok(out)
}

/// Adds a step or warning for a layer without a rule and without a role.
fn leave_or_keep(definition: &Definition, layer: &Descriptor, out: &mut Unpacking) -> Result<()> {
    match (definition.accept.other_layers, layer.title()) {
        (OtherLayers::Keep, Some(_)) => out.steps.push(generic::titled_step(layer)?),
        _ => out.warnings.push(format!(
            "{} is not part of a {} and was skipped",
            name_of(layer),
            definition.metadata.name
        )),
    }
    Ok(())
}

/// The name of a layer in a message.
fn name_of(layer: &Descriptor) -> String {
    match layer.title() {
        Some(title) => format!("layer `{title}`"),
        None => format!("layer {} ({})", layer.digest.short(), layer.media_type),
    }
}

/// Errors: beside a key of this name, or instead of it, there is one that is the same to readers that ignore case: as Go
/// programs do, whose file would have another name.
fn check_keys(config: &Json, name: &str) -> Result<()> {
    let mut part = config;
    for key in name.split('.').skip(1) {
        let Some(map) = part.as_object() else { break };
        let check = |own: &String| exact_keys::check_key::<serde_json::Error>(own, &[key]);
        map.keys().try_for_each(check).map_err(|e| Error::invalid(format!("the config is ambiguous: {e}")))?;
        part = map.get(key).unwrap_or(&Json::Null);
    }
    Ok(())
}

/// A layer as an expression value. Its title is checked as a relative path and usable as one.
fn layer_value(layer: &Descriptor) -> Result<Value> {
    let title = layer.title().map(shortest).transpose()?;
    let annotations = serde_json::to_value(&layer.annotations).unwrap_or(Json::Null);
    Ok(Value::pairs([
        ("title", title.map_or(Value::Blank(None), |title| Value::Path(title.into()))),
        ("mediaType", Value::from(layer.media_type.as_str())),
        ("digest", Value::from(layer.digest.hex())),
        ("annotations", Value::view(&annotations, Some(Schema::object()))),
    ]))
}
