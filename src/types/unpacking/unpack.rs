//! The section `unpack`: which files an artifact becomes, in two views. `native` gives the files that the type's own
//! tool would have saved, `tree` the content itself.

use minijinja::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{accept::OtherLayers, generic};
use crate::{
    error::{Context as _, Error, Result},
    oci::{Descriptor, Manifest},
    plan::{Action, Step, Unpacking},
    types::{
        definition::{
            Definition,
            many::{Expression, Template},
            texts::{Part, Texts},
        },
        language::{expr::Engine, scope::Scope, values},
        planning::tar,
    },
};

/// Permission bits of a file that nothing is said about.
const MODE: u32 = 0o644;

/// Which files an artifact becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum View {
    /// The files that the type's own tool would have saved.
    #[default]
    Native,
    /// The content itself: archives are extracted.
    Tree,
}

impl std::str::FromStr for View {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "native" => Ok(Self::Native),
            "tree" => Ok(Self::Tree),
            _ => Err(Error::invalid(format!("a view is `native` or `tree`, not `{text}`"))),
        }
    }
}

/// The section `unpack`. A view without rules is the other one; without any, layers go under their titles.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unpack {
    /// The files that the type's own tool would have saved.
    #[serde(default)]
    pub native: Vec<Rule>,
    /// The content itself.
    #[serde(default)]
    pub tree: Vec<Rule>,
    /// How `artifact view` shows it.
    #[serde(default)]
    pub view: Option<Json>,
}

/// What becomes of a layer, or of the config.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// The layers of this role; `*` for all.
    #[serde(default)]
    pub layer: Option<String>,
    /// The config.
    #[serde(default)]
    pub config: bool,
    /// Whether the rule counts.
    #[serde(default)]
    pub when: Option<Expression>,
    /// The path of the file that it becomes; `layer.title` may hold separators, other values may not.
    #[serde(default)]
    pub write: Option<Template>,
    /// Permission bits of that file, octal: `0644` when nothing is said.
    #[serde(default)]
    pub mode: Option<String>,
    /// Extract it instead.
    #[serde(default)]
    pub extract: Option<Extract>,
}

/// How a tar archive is extracted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Extract {
    /// Where to; `.` for the destination itself.
    #[serde(default)]
    pub to: Option<Template>,
    /// A first component that every entry must have, and that is stripped.
    #[serde(default)]
    pub root: Option<Template>,
    /// `none`, `gzip` or `zstd`; what the media type says when nothing is said.
    #[serde(default)]
    pub compress: Option<String>,
    /// Whether symbolic links that stay inside are made; otherwise a link is an error.
    #[serde(default)]
    pub links: bool,
}

impl Unpack {
    /// The texts that are evaluated.
    pub(in crate::types) fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        for (view, rules) in [("native", &self.native), ("tree", &self.tree)] {
            texts.part(view, |texts| {
                rules.iter().enumerate().for_each(|(i, rule)| texts.part(i, |texts| rule.texts(texts)));
            });
        }
    }
}

impl Rule {
    fn texts<'a>(&'a self, texts: &mut Texts<'a>) {
        texts.names("layer", Part::Role, &self.layer);
        texts.expression("when", &self.when);
        texts.template("write", &self.write);
        if let Some(extract) = &self.extract {
            texts.part("extract", |texts| {
                texts.template("to", &extract.to);
                texts.template("root", &extract.root);
            });
        }
    }

    /// What is wrong with it.
    pub(in crate::types) fn check(&self) -> Result<()> {
        if self.layer.is_some() == self.config {
            return Err(Error::invalid("a rule has either `layer` or `config`"));
        }
        if self.write.is_some() == self.extract.is_some() {
            return Err(Error::invalid("a rule has either `write` or `extract`"));
        }
        if let Some(compress) = self.extract.as_ref().and_then(|e| e.compress.as_deref()) {
            tar::compression(compress)?;
        }
        self.mode().map(drop)
    }

    fn mode(&self) -> Result<u32> {
        let Some(text) = &self.mode else { return Ok(MODE) };
        let mode = u32::from_str_radix(text, 8).ok().filter(|m| *m <= 0o777);
        mode.ok_or_else(|| Error::invalid(format!("`mode` is octal digits such as `0644`, not `{text}`")))
    }

    /// Whether it names a value of the config.
    fn reads_config(&self, engine: &Engine) -> bool {
        let mut texts = Texts::at("");
        self.texts(&mut texts);
        let mut names = texts.found.into_iter().flat_map(|(_, text)| text.names(engine));
        names.any(|name| name.split('.').next() == Some("config"))
    }

    fn takes(&self, role: Option<&str>) -> bool {
        self.layer.as_deref().is_some_and(|wanted| wanted == "*" || Some(wanted) == role)
    }

    fn step(&self, blob: &Descriptor, engine: &Engine, scope: &Scope) -> Result<Option<Step>> {
        if !self.when.as_ref().map_or(Ok(true), |e| engine.truth(&e.0, scope))? {
            return Ok(None);
        }
        let path = |template: &Template| engine.text(&template.0, scope).and_then(|p| generic::checked_path(&p));
        let (path, action) = match (&self.write, &self.extract) {
            (Some(write), _) => (path(write)?, Action::Write { mode: self.mode()? }),
            (None, Some(extract)) => {
                let root = extract.root.as_ref().map(path).transpose()?;
                let compress = match &extract.compress {
                    Some(compress) => tar::compression(compress)?,
                    None => generic::compression_of(&blob.media_type),
                };
                let to = extract.to.as_ref().map_or_else(
                    || Ok(".".into()),
                    |to| match to.0.as_str() {
                        "." => Ok(".".into()),
                        _ => path(to),
                    },
                )?;
                (to, Action::Extract { compress, root, links: extract.links, diff_id: None })
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
    rules(&definition.unpack, wanted).iter().any(|rule| rule.reads_config(engine))
}

/// The steps that unpack this manifest, by the rules of this definition.
///
/// Errors: kind `Mismatch` when layers are missing or do not belong; a path that may not be; two files of one name.
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
    let scope = Scope::default().with("config", config_value(config));
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
        out.steps
            .extend(rule.step(&manifest.config, engine, &scope.with("layer", Value::from(()))).context(|| "config")?);
    }
    generic::refuse_twins(&out.steps)?;
    Ok(out)
}

/// What becomes of a layer that no rule took and that has no role.
fn leave_or_keep(definition: &Definition, layer: &Descriptor, out: &mut Unpacking) -> Result<()> {
    match (definition.accept.other_layers, layer.title()) {
        (OtherLayers::Keep, Some(_)) => out.steps.push(generic::step(layer)?),
        _ => out.warnings.push(format!(
            "{} is not part of a {} and is left out",
            name_of(layer),
            definition.metadata.name
        )),
    }
    Ok(())
}

/// A layer in a message.
fn name_of(layer: &Descriptor) -> String {
    match layer.title() {
        Some(title) => format!("layer `{title}`"),
        None => format!("layer {} ({})", layer.digest.short(), layer.media_type),
    }
}

/// A config as expressions see it: every key that it lacks is blank.
fn config_value(config: &[u8]) -> Value {
    let json: Json = serde_json::from_slice(config).unwrap_or(Json::Null);
    values::view(&json, Some(&serde_json::json!({"type": "object"})))
}

/// A layer as expressions see it. Its title has been checked as a relative path, and may be used as one.
fn layer_value(layer: &Descriptor) -> Result<Value> {
    let title = layer.title().map(generic::checked_path).transpose()?;
    let annotations = serde_json::to_value(&layer.annotations).unwrap_or(Json::Null);
    Ok(Value::from_pairs([
        ("title", title.map_or(Value::from(()), Value::from_safe_string)),
        ("mediaType", Value::from(layer.media_type.as_str())),
        ("digest", Value::from(layer.digest.hex())),
        ("annotations", values::view(&annotations, Some(&serde_json::json!({"type": "object"})))),
    ]))
}
