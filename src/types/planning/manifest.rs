//! The section `manifest`: the artifact type, and annotations in blocks, of which later ones override earlier ones.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{annotations::annotation_value, reading::Reading};
use crate::{
    error::{Context as _, Error, Result},
    oci::media_type,
    plan::{ManifestPlan, Order, Part},
    types::{
        definition::manifest::{Block, ManifestRule},
        language::typed,
    },
};

impl ManifestRule {
    /// Plans the manifest with this config and these layers.
    pub(super) fn plan(
        &self,
        reading: &Reading<'_>,
        config: Part,
        layers: Vec<Part>,
        order: Order,
    ) -> Result<ManifestPlan> {
        let artifact_type = reading.optional_text(self.artifact_type.as_ref())?;
        let artifact_type = artifact_type.filter(|t| !t.trim().is_empty());
        if let Some(bad) = artifact_type.as_deref().filter(|t| !media_type::is_valid(t)) {
            return Err(Error::invalid(format!("artifact type `{bad}` is not a media type")));
        }
        let mut annotations = BTreeMap::new();
        for block in &self.annotations {
            block.add_annotations(reading, &mut annotations).context(|| "annotations")?;
        }
        // In an index, the index itself has them.
        if reading.member.is_none() && !self.merges_cli() {
            let given = reading.inputs.annotations.iter();
            annotations.extend(given.map(|(k, v)| (k.clone(), Json::from(v.as_str()))));
        }
        Ok(ManifestPlan {
            config,
            layers,
            artifact_type,
            omit_media_type: self.media_type.is_some(),
            encoding: self.json,
            order,
            annotations,
            subject: None,
            reads: None,
        })
    }

    fn merges_cli(&self) -> bool {
        self.annotations.iter().filter_map(|b| b.merge.as_ref()).any(|m| m.0.contains("cli.annotations"))
    }
}

impl Block {
    fn add_annotations(&self, reading: &Reading<'_>, annotations: &mut BTreeMap<String, Json>) -> Result<()> {
        if !reading.holds(self.when.as_ref())? {
            return Ok(());
        }
        if let Some(merge) = &self.merge {
            match reading.json(merge)? {
                Json::Null => {}
                Json::Object(map) => {
                    for (key, value) in map {
                        self.put_annotation(key, Some(value), annotations)?;
                    }
                }
                _ => return Err(Error::invalid(format!("`{}` is not a map", merge.0))),
            }
        }
        for (key, tree) in &self.set {
            let value = typed::evaluate(tree, reading.engine, &reading.scope).context(|| format!("`{key}`"))?;
            self.put_annotation(key.clone(), value, annotations)?;
        }
        Ok(())
    }

    fn put_annotation(&self, key: String, value: Option<Json>, annotations: &mut BTreeMap<String, Json>) -> Result<()> {
        let value = annotation_value(value).context(|| format!("`{key}`"))?;
        let blank = value.as_ref().is_none_or(|v| v.as_str().is_some_and(|s| s.trim().is_empty()));
        if !(blank && self.omit_blank) {
            annotations.insert(key, value.unwrap_or_else(|| "".into()));
        }
        Ok(())
    }
}
