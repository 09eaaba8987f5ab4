//! What a place holds: files, layouts and archives, read without the library that is under test.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::Outcome;

/// How unfinished files are called.
pub(super) const UNFINISHED: &str = ".artifact-";

/// Paths, and the mode and digest of what is there.
pub(super) type Listing = BTreeMap<String, (u32, String)>;

pub(super) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy_dir(&path, &target) } else { assert!(fs::copy(&path, target).is_ok()) }
    }
}

/// All regular files below a directory, by relative path; nothing when it is not there. Files that go away meanwhile
/// were not there.
pub(super) fn read_dir(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = walk(dir).into_iter().filter(|path| path.is_file());
    let read = |path: PathBuf| Some((relative(dir, &path), fs::read(&path).ok()?));
    files.filter_map(read).collect()
}

/// All that is below a directory.
pub(super) fn listed(dir: &Path) -> Listing {
    let state = |path: PathBuf| {
        let mode = path.symlink_metadata().ok()?.permissions().mode();
        let digest = if path.is_file() { hex(&fs::read(&path).ok()?) } else { String::new() };
        Some((relative(dir, &path), (mode, digest)))
    };
    walk(dir).into_iter().filter_map(state).collect()
}

/// The unfinished files below a directory.
pub(super) fn unfinished(dir: &Path) -> Vec<String> {
    walk(dir).iter().map(|path| relative(dir, path)).filter(|path| path.contains(UNFINISHED)).collect()
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}

fn relative(dir: &Path, path: &Path) -> String {
    path.strip_prefix(dir).unwrap().display().to_string()
}

fn hex(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The files of an archive; of none when it is not there.
pub(super) fn untar(path: &Path) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let Ok(file) = fs::File::open(path) else { return Ok(BTreeMap::new()) };
    let mut all = BTreeMap::new();
    for entry in tar::Archive::new(file).entries().map_err(|e| e.to_string())? {
        let mut entry = entry.map_err(|e| e.to_string())?;
        let name = entry.path().map_err(|e| e.to_string())?.display().to_string();
        let mut content = Vec::new();
        std::io::copy(&mut entry, &mut content).map_err(|e| e.to_string())?;
        all.insert(name, content);
    }
    Ok(all)
}

/// Hashes every blob of a layout, follows the list to all that it leads to, and gives the tags.
pub(super) fn whole(content: &BTreeMap<String, Vec<u8>>) -> Result<Vec<String>, String> {
    for (path, bytes) in content {
        if let Some(name) = path.strip_prefix("blobs/sha256/").filter(|name| !name.starts_with(UNFINISHED))
            && hex(bytes) != name
        {
            return Err(format!("{path} has another digest"));
        }
    }
    let index = content.get("index.json").ok_or("no index.json")?;
    let index: Value = serde_json::from_slice(index).map_err(|e| format!("index.json: {e}"))?;
    let mut tags = Vec::new();
    for entry in index["manifests"].as_array().ok_or("index.json lists nothing")? {
        follow(content, entry)?;
        tags.extend(entry["annotations"]["org.opencontainers.image.ref.name"].as_str().map(str::to_owned));
    }
    Ok(tags)
}

fn follow(content: &BTreeMap<String, Vec<u8>>, desc: &Value) -> Outcome {
    let digest = desc["digest"].as_str().unwrap_or_default();
    let blob = content.get(&format!("blobs/{}", digest.replace(':', "/"))).ok_or(format!("{digest} is missing"))?;
    if desc["size"].as_u64() != Some(blob.len() as u64) {
        return Err(format!("{digest} has {} bytes", blob.len()));
    }
    if !desc["mediaType"].as_str().unwrap_or_default().contains("manifest") {
        return Ok(());
    }
    let manifest: Value = serde_json::from_slice(blob).map_err(|e| format!("{digest}: {e}"))?;
    let layers = manifest["layers"].as_array().into_iter().flatten();
    layers.chain([&manifest["config"]]).try_for_each(|child| follow(content, child))
}
