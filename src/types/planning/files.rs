//! Files of a source: their values in expressions, and their reads.

use crate::{
    oci::media_type,
    plan::Reads,
    source::{Member, MemberKind},
    types::language::values::Value,
};

/// A file as an expression value.
pub(super) fn file_value(member: &Member) -> Value {
    let name = member.name();
    let (stem, ext) = match name.rsplit_once('.') {
        Some((stem, ext)) if !stem.is_empty() => (stem, ext),
        _ => (name, ""),
    };
    Value::pairs([
        ("path", Value::from(member.path.as_str())),
        ("name", Value::from(name)),
        ("stem", Value::from(stem)),
        ("ext", Value::from(ext.to_lowercase())),
        ("mime", Value::from(media_type_of(&member.path))),
        ("size", Value::from(member.len)),
    ])
}

/// The media type of a file by its name.
pub(super) fn media_type_of(path: &str) -> String {
    let guess = mime_guess::from_path(path).first_raw();
    guess.filter(|m| media_type::is_valid(m)).unwrap_or(media_type::OCTET_STREAM).to_owned()
}

/// The reads of these members, with their state at listing.
pub(super) fn reads(members: &[Member]) -> Reads {
    let mut reads = Reads::default();
    members.iter().filter(|member| member.kind == MemberKind::File).for_each(|file| reads.file(file.len));
    reads
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
