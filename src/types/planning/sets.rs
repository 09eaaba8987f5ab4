//! The section `source.sets`: which files a type reads. Nothing else is packed.

use minijinja::Value;

use super::reading::Reading;
use crate::{
    error::{Error, Kind, Result},
    oci::media_type,
    plan::Reads,
    source::{Dialect, Ignore, Limits, Listing, Member, MemberKind},
    types::{
        definition::{
            many::Strings,
            sets::{FileSet, IgnoreRules},
        },
        language::values,
    },
};

impl FileSet {
    /// The members of this set.
    pub(super) fn read(&self, reading: &Reading<'_>) -> Result<Vec<Member>> {
        let absent = !self.forms.is_empty() && !self.forms.contains(&reading.form);
        if absent || !self.when.as_ref().map_or(Ok(true), |e| reading.truth(e))? {
            return Ok(Vec::new());
        }
        if let Some(path) = &self.path {
            return self.files(vec![reading.text(path)?], reading);
        }
        if let Some(list) = &self.list {
            return self.files(paths(&reading.value(list)?, &list.0)?, reading);
        }
        let listing = self.listing(reading)?;
        if let Some(globs) = &self.globs {
            return reading.source.expand(&reading.strings(globs)?, &listing);
        }
        reading.source.list(&listing)
    }

    fn files(&self, paths: Vec<String>, reading: &Reading<'_>) -> Result<Vec<Member>> {
        let mut members: Vec<Member> = Vec::new();
        for path in paths {
            let at = || reading.position_of(&path);
            let member = match reading.source.resolve(&path) {
                Err(e) if self.optional && e.kind() == Kind::NotFound => continue,
                found => found.map_err(|e| match at() {
                    Some(at) => e.context(at),
                    None => e,
                })?,
            };
            if !members.iter().any(|m| m.path == member.path) {
                members.push(member);
            }
        }
        Ok(members)
    }

    fn listing(&self, reading: &Reading<'_>) -> Result<Listing> {
        let strings = |s: &Option<Strings>| s.as_ref().map_or(Ok(Vec::new()), |s| reading.strings(s));
        let dir = self.dir.as_ref().map(|d| reading.text(d)).transpose()?;
        let unlimited = Limits::default();
        Ok(Listing {
            dir: dir.filter(|d| d != "."),
            include: strings(&self.include)?,
            exclude: strings(&self.exclude)?,
            ignore: self.ignore.as_ref().map(IgnoreRules::to_ignore),
            symlinks: self.symlinks,
            irregular: self.irregular,
            limits: Limits {
                file: self.limits.file.unwrap_or(unlimited.file),
                total: self.limits.total.unwrap_or(unlimited.total),
                ..unlimited
            },
        })
    }
}

impl IgnoreRules {
    fn to_ignore(&self) -> Ignore {
        let dialect = self.dialect.unwrap_or(Dialect::Gitignore);
        Ignore { dialect, file: self.file.clone(), always: self.always.clone() }
    }
}

/// The strings of a list; blank ones are left out.
pub(super) fn paths(value: &Value, expression: &str) -> Result<Vec<String>> {
    let bad = || Error::invalid(format!("`{expression}` is not a list of strings"));
    if value.as_str().is_some() {
        return Err(bad());
    }
    match values::to_json(value)? {
        serde_json::Value::Null => Ok(Vec::new()),
        serde_json::Value::Array(items) => {
            let items = items.into_iter().filter(|item| !item.is_null());
            items.map(|item| item.as_str().map(str::to_owned).ok_or_else(bad)).collect()
        }
        _ => Err(bad()),
    }
}

/// A file as expressions see it.
pub(super) fn file_value(member: &Member) -> Value {
    let name = member.name();
    let (stem, ext) = match name.rsplit_once('.') {
        Some((stem, ext)) if !stem.is_empty() => (stem, ext),
        _ => (name, ""),
    };
    Value::from_pairs([
        ("path", Value::from(member.path.as_str())),
        ("name", Value::from(name)),
        ("stem", Value::from(stem)),
        ("ext", Value::from(ext.to_lowercase())),
        ("mime", Value::from(media_type_of(&member.path))),
        ("size", Value::from(member.len)),
    ])
}

/// What is read of these members, as they were when they were listed.
pub(in crate::types) fn reads(members: &[Member]) -> Reads {
    let mut reads = Reads::default();
    members.iter().filter(|member| member.kind == MemberKind::File).for_each(|file| reads.file(file.len));
    reads
}

/// The natural media type of a file, by its name.
pub(super) fn media_type_of(path: &str) -> String {
    let guess = mime_guess::from_path(path).first_raw();
    guess.filter(|m| media_type::is_valid(m)).unwrap_or(media_type::OCTET_STREAM).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change here changes the digest of artifacts whose layers are files: it takes a good reason, and a line in the
    /// changelog. An upgrade of mime_guess is what may bring one about.
    #[test]
    fn the_media_types_of_files_stay_the_same_from_release_to_release() {
        let letters: Vec<String> = ('a'..='z').chain('0'..='9').map(String::from).collect();
        let mut endings = letters.clone();
        for first in &letters {
            endings.extend(letters.iter().map(|second| format!("{first}{second}")));
            let pairs =
                letters.iter().flat_map(|second| letters.iter().map(move |third| format!("{first}{second}{third}")));
            endings.extend(pairs);
        }
        let longer = "aiff apng avif azw3 bzip2 conf docx epub flac geojson gguf heic html ipynb java jpeg json json5 jsonl jsonld \
                      lock markdown mjpeg mobi mpeg onnx opus parquet plist pptx rust safetensors scss shtml sqlite svgz swift \
                      texi text tiff toml torrent ttml vcard wasm webm webmanifest webp woff woff2 xhtml xlsx xml yaml yarn zstd";
        endings.extend(longer.split_whitespace().map(str::to_owned));
        let known: Vec<String> = endings
            .iter()
            .map(|ending| format!("{ending} {}\n", media_type_of(&format!("a.{ending}"))))
            .filter(|line| !line.ends_with(&format!("{}\n", media_type::OCTET_STREAM)))
            .collect();
        let digest = crate::oci::Digest::of(known.concat().as_bytes());
        assert_eq!(
            (known.len(), digest.hex().as_str()),
            (955, "b536a953662961e0ffb595bbdc9c2a6285001269e7456d7cc6234463a744a2a3")
        );
    }
}
