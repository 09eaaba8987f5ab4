//! A credential file itself: reading it, and changing it beside others that change it.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    fs::{CWD, FlockOperation, RenameFlags},
    io::Errno,
};
use serde_json::{Map, Value};
use tempfile::NamedTempFile;

use crate::{
    error::{Context as _, Error, Kind, Result},
    fs,
};

/// Largest credential file, in bytes.
const MAX_CONFIG: u64 = 1 << 20;
/// How long a change waits for those of other processes.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// Interval between tries.
const AGAIN: Duration = Duration::from_millis(10);
/// How often a change is made again because somebody else wrote the file meanwhile.
const ROUNDS: usize = 100;

/// The content of a credential file.
pub(super) type Config = Map<String, Value>;

/// Reads a credential file; `None` if there is none. Messages never quote its content.
pub(super) fn read(path: &Path) -> Result<Option<Config>> {
    bytes(path)?.map(|bytes| parse(&bytes, path)).transpose()
}

/// Whether users other than the owner may read it.
pub(super) fn is_exposed(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o044 != 0)
}

fn bytes(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read_regular(path, MAX_CONFIG) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == Kind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Parses the content of a credential file. Messages never quote it.
pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Config> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(config)) => Ok(config),
        Ok(_) => Err(Error::invalid(format!("`{}` is not a JSON object", path.display()))),
        Err(e) => {
            let place = format!("line {} column {}", e.line(), e.column());
            Err(Error::invalid(format!("`{}` is malformed JSON at {place}", path.display())))
        }
    }
}

/// Changes a credential file: `change` gets its content, and returns whether it changed it. True if it did.
///
/// Of several processes of ours, one changes it at a time. Docker and Podman take no lock: they replace the file. What
/// one of them wrote since the file was read is found when the new file takes its place, and is changed in turn. The
/// file is replaced atomically, and readable by its owner only; a missing directory is created. A symbolic link is kept,
/// and its target replaced. Blocks.
pub(super) fn change(path: &Path, mut change: impl FnMut(&mut Config) -> Result<bool>) -> Result<bool> {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = || format!("cannot write `{}`", path.display());
    std::fs::create_dir_all(dir).context(cannot)?;
    let _alone = lock(dir).context(cannot)?;
    let mut there = bytes(&path)?;
    let (mut base, mut displaced, mut any) = (there.clone(), false, false);
    for _ in 0..ROUNDS {
        let changed = base.as_deref().map_or(Ok(Map::new()), |bytes| parse(bytes, &path)).and_then(|mut config| {
            let changed = change(&mut config).context(|| format!("`{}`", path.display()))?;
            let mut json = serde_json::to_vec_pretty(&config).map_err(io::Error::from)?;
            json.push(b'\n');
            Ok((changed, json))
        });
        // What was displaced goes back even if there is nothing to change in it.
        let (outcome, content) = match (changed, base) {
            (Ok((false, _)), _) if !displaced => return Ok(false),
            (Ok((changed, json)), _) => {
                any |= changed;
                (Ok(any), json)
            }
            (Err(error), Some(base)) if displaced => (Err(error), base),
            (Err(error), _) => return Err(error),
        };
        let found = put(&path, dir, &content, there.is_some()).context(cannot)?;
        if found == there {
            return outcome;
        }
        // Something newer than what was read was there; it is displaced if ours could be put.
        displaced = found.is_some() && there.is_some();
        there = if displaced { Some(content) } else { found.clone() };
        base = found;
    }
    Err(Error::new(Kind::Unavailable, "others change it all the time").context(cannot()))
}

/// Puts this content into the file's place, and returns what was there.
///
/// If something is there although nothing was expected, or the reverse, nothing is put.
fn put(path: &Path, dir: &Path, content: &[u8], expected: bool) -> Result<Option<Vec<u8>>> {
    // Created readable by its owner only.
    let mut file = NamedTempFile::new_in(dir)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    if !expected {
        return match file.persist_noclobber(path) {
            Ok(_) => Ok(None),
            Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => bytes(path),
            Err(e) => Err(e.error.into()),
        };
    }
    match rustix::fs::renameat_with(CWD, file.path(), CWD, path, RenameFlags::EXCHANGE) {
        // The temporary file is now what was there, and is removed with it.
        Ok(()) => bytes(file.path()),
        Err(Errno::NOENT) => Ok(None),
        // The file system cannot exchange: what is written between these two steps is lost.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            let there = bytes(path)?;
            file.persist(path).map_err(|e| e.error)?;
            Ok(there)
        }
        Err(e) => Err(io::Error::from(e).into()),
    }
}

/// Locks the directory against other processes of ours, until the file is dropped. No lock if the file system has none.
fn lock(dir: &Path) -> Result<Option<File>> {
    let (file, start) = (File::open(dir)?, Instant::now());
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(Errno::WOULDBLOCK | Errno::INTR) if start.elapsed() < LONGEST_WAIT => std::thread::sleep(AGAIN),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {
                return Err(Error::new(Kind::Busy, "another process changes it"));
            }
            Err(_) => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn add(path: &Path, key: &str) -> Result<bool> {
        change(path, |config| Ok(config.insert(key.to_owned(), json!(1)).is_none()))
    }

    fn keys(path: &Path) -> Vec<String> {
        let mut keys: Vec<String> = read(path).unwrap().unwrap().into_iter().map(|(key, _)| key).collect();
        keys.sort();
        keys
    }

    /// Replaces the file as Docker and Podman do, with a key more than it had.
    fn as_docker(path: &Path, key: &str) {
        let mut config = read(path).unwrap().unwrap_or_default();
        config.insert(key.to_owned(), json!("docker"));
        let mut file = NamedTempFile::new_in(path.parent().unwrap()).unwrap();
        file.write_all(&serde_json::to_vec(&config).unwrap()).unwrap();
        file.persist(path).unwrap();
    }

    #[test]
    fn of_many_changes_at_a_time_none_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/config.json");
        std::thread::scope(|scope| {
            for n in 0..16 {
                let path = &path;
                scope.spawn(move || assert!(add(path, &format!("key{n:02}")).unwrap()));
            }
        });
        assert_eq!(keys(&path), (0..16).map(|n| format!("key{n:02}")).collect::<Vec<_>>());
        let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["config.json"]);
    }

    #[test]
    fn what_others_write_between_reading_and_replacing_is_kept() {
        for existed in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("config.json");
            if existed {
                as_docker(&path, "old");
            }
            let mut rounds = 0;
            let changed = change(&path, |config| {
                rounds += 1;
                if rounds == 1 {
                    as_docker(&path, "docker");
                }
                Ok(config.insert("ours".into(), json!(1)).is_none())
            });
            assert!(changed.unwrap());
            let want = ["docker", "old", "ours"];
            assert_eq!(keys(&path), want.into_iter().filter(|key| existed || *key != "old").collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_others_wrote_goes_back_if_there_is_nothing_to_change_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        as_docker(&path, "gone");
        let removed = change(&path, |config| {
            let known = config.remove("gone").is_some();
            if known {
                std::fs::remove_file(&path).unwrap();
                as_docker(&path, "docker");
            }
            Ok(known)
        });
        assert!(removed.unwrap());
        assert_eq!(keys(&path), ["docker"]);
    }

    #[test]
    fn what_others_wrote_goes_back_if_it_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        as_docker(&path, "old");
        let changed = change(&path, |config| {
            std::fs::write(dir.path().join("broken"), "{broken").unwrap();
            std::fs::rename(dir.path().join("broken"), &path).unwrap();
            Ok(config.insert("ours".into(), json!(1)).is_none())
        });
        assert!(changed.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{broken");
    }

    #[test]
    fn only_the_owner_can_read_what_was_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, "{}").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(is_exposed(&path) && add(&path, "a").unwrap() && !is_exposed(&path));
        assert!(!add(&path, "a").unwrap());
    }
}
