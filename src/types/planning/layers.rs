//! The section `layers`: the layers, their content and their order.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{
    annotations::{annotation_value, title_annotations},
    files::{file_value, media_type_of, reads},
    paths::checked_title,
    planned::{Planned, quotes},
    reading::Reading,
};
use crate::{
    error::{Code, Context as _, Error, Kind, Result},
    oci::media_type,
    plan::{Compression, Content, Part},
    source::{Member, MemberKind},
    types::{
        definition::{
            layers::{Layer, Layers},
            tar,
        },
        language::{
            cost::{ENTRY, LAYER},
            typed,
            values::Value,
        },
    },
};

impl Layers {
    /// Plans all layers.
    pub(super) fn plan(&self, reading: &Reading<'_>) -> Result<Planned> {
        let mut planned = Planned::default();
        for layer in self.items.iter().filter(|layer| reading.has_form(&layer.forms)) {
            layer.plan(reading, &mut planned).context(|| format!("layer `{}`", layer.id))?;
        }
        Ok(planned)
    }
}

impl Layer {
    fn plan(&self, reading: &Reading<'_>, planned: &mut Planned) -> Result<()> {
        if !reading.holds(self.when.as_ref())? {
            return Ok(());
        }
        if self.each.is_empty() {
            let file = self.raw.as_ref().map(|set| reading.set(set)).transpose()?;
            return match file.map(<[Member]>::split_first) {
                Some(None) => Ok(()),
                Some(Some((_, [_, ..]))) => Err(Error::invalid("the set of `raw` has several files; use `each`")),
                Some(Some((file, []))) => self.plan_one(reading, Some(file), planned),
                None => self.plan_one(reading, None, planned),
            };
        }
        for set in &self.each.0 {
            for file in reading.set(set)?.iter().filter(|f| f.kind != MemberKind::Directory) {
                if let MemberKind::Symlink { .. } = file.kind {
                    let message = format!("`{}` is a symbolic link and cannot be a layer", file.path);
                    let (error, params) = (Error::invalid(message), &reading.definition.params);
                    let keeps = params.get("layout").is_some_and(|layout| layout.choices.iter().any(|c| c == "tree"));
                    return Err(if keeps { error.with_code(Code::LinkAsLayer) } else { error });
                }
                self.plan_one(reading, Some(file), planned)?;
            }
        }
        Ok(())
    }

    fn plan_one(&self, reading: &Reading<'_>, file: Option<&Member>, planned: &mut Planned) -> Result<()> {
        reading.scope.account().take(LAYER)?;
        let reading = &file.map_or_else(|| reading.clone(), |f| reading.with("file", file_value(f)));
        let title = reading.optional_text(self.title.as_ref())?.filter(|t| !t.is_empty());
        let compress = reading.optional_text(self.compress.as_ref())?;
        let compress = compress.as_deref().map_or(Ok(Compression::None), tar::compression)?;
        let (content, members) = self.content(reading, file, title.as_deref(), compress)?;
        let kind = reading.optional_text(self.media_type.as_ref())?;
        let media_type = kind.unwrap_or_else(|| default_media_type(&content, compress));
        if !media_type::is_valid(&media_type) {
            return Err(Error::invalid(format!("`{media_type}` is not a media type")));
        }
        let index = planned.parts.len();
        if title.as_ref().is_some_and(|t| planned.holds(t, &content)) {
            return Ok(());
        }
        let mut annotations = BTreeMap::new();
        if let Some(title) = &title {
            checked_title(title)?;
            planned.claim(title, index, &content)?;
            annotations.extend(title_annotations(title, index, &content));
        }
        annotations.extend(self.annotations(&reading.with("layer", Value::pairs(quotes(index))))?);
        planned.reads += reads(members);
        planned.parts.push(Part { id: self.id.clone(), media_type, content, annotations });
        Ok(())
    }

    /// The content and its members.
    fn content<'r>(
        &self,
        reading: &'r Reading<'_>,
        file: Option<&'r Member>,
        title: Option<&str>,
        compress: Compression,
    ) -> Result<(Content, &'r [Member])> {
        if let Some(text) = &self.text {
            return Ok((Content::Text(reading.text(text)?), &[]));
        }
        let Some(tar) = &self.tar else {
            let file = file.ok_or_else(|| Error::new(Kind::Internal, "the layer has no content"))?;
            return Ok((Content::File(file.path.clone().into()), std::slice::from_ref(file)));
        };
        let root = match (&tar.root, title) {
            (Some(root), _) => reading.text(root)?,
            (None, title) => title.unwrap_or(".").to_owned(),
        };
        let root = crate::source::relative(&root).map(|r| if r.is_empty() { ".".into() } else { r })?;
        let members = reading.set(&tar.set)?;
        reading.scope.account().take((members.len() as u64).saturating_mul(ENTRY))?;
        let entries =
            tar.entries(members, &reading.dir_of(&tar.set)?, &root, reading.inputs.now, reading.source.effort())?;
        Ok((Content::Tar { entries, compress }, members))
    }

    fn annotations(&self, reading: &Reading<'_>) -> Result<BTreeMap<String, Json>> {
        let mut out = BTreeMap::new();
        for (key, tree) in &self.annotations {
            let value = typed::evaluate(tree, reading.engine, &reading.scope).context(|| format!("`{key}`"))?;
            match annotation_value(value).context(|| format!("annotation `{key}`"))? {
                Some(value) if value != "" => _ = out.insert(key.clone(), value),
                _ => {}
            }
        }
        Ok(out)
    }
}

/// The default media type.
fn default_media_type(content: &Content, compress: Compression) -> String {
    match (content, compress) {
        (Content::File(path), _) => media_type_of(&path.to_string_lossy()),
        (Content::Tar { .. }, Compression::None) => media_type::LAYER_TAR.into(),
        (Content::Tar { .. }, Compression::Gzip(_)) => format!("{}+gzip", media_type::LAYER_TAR),
        (Content::Tar { .. }, Compression::Zstd(_)) => format!("{}+zstd", media_type::LAYER_TAR),
        _ => "text/plain".into(),
    }
}
