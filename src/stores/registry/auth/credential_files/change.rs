//! Changing a credential file beside others that change it.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    fs::{CWD, FlockOperation, RenameFlags},
    io::Errno,
};
use serde_json::{Map, Value};
use tempfile::NamedTempFile;

use super::config_file::{Config, bytes, parse};
use crate::error::{Context as _, Error, Kind, Result};

/// How long a change waits for those of other processes.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// Interval between tries.
const AGAIN: Duration = Duration::from_millis(10);
/// How often a change is made again because somebody else wrote the file meanwhile.
const ROUNDS: usize = 100;

/// Changes a credential file: `change` gets its content, and returns whether it changed it. True if it did.
///
/// Of several processes of ours, one changes it at a time. Docker and Podman take no lock: they replace the file. What
/// one of them wrote since the file was read is found when the new file takes its place, and is changed in turn, however
/// many do so and whatever they read meanwhile. The file is replaced atomically, and readable by its owner only; a
/// missing directory is created. A symbolic link is kept, and its target replaced. Blocks.
pub(super) fn change(path: &Path, change: impl FnMut(&mut Config) -> Result<bool>) -> Result<bool> {
    change_among(path, change, |_| {})
}

/// A moment at which others may read or replace the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// It was read, and is about to be replaced.
    BeforeExchange,
    /// It was replaced.
    AfterExchange,
}

/// Like [`change()`]; `moment` is called at each moment.
fn change_among(
    path: &Path,
    mut change: impl FnMut(&mut Config) -> Result<bool>,
    moment: impl FnMut(Moment),
) -> Result<bool> {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = || format!("cannot write `{}`", path.display());
    std::fs::create_dir_all(dir).context(cannot)?;
    let _alone = lock(dir).context(cannot)?;
    let there = bytes(&path)?;
    let base = there.clone();
    let mut changing = Changing { path: &path, dir, there, base, displaced: Vec::new(), missing: false, moment };
    let mut any = false;
    for _ in 0..ROUNDS {
        match changing.round(&mut change, &mut any) {
            Ok(None) => {}
            Ok(Some(outcome)) => return outcome,
            Err(error) => {
                changing.put_back();
                return Err(error);
            }
        }
    }
    changing.put_back();
    Err(Error::new(Kind::Unavailable, "others change it all the time").context(cannot()))
}

/// A change of a file that others replace meanwhile.
struct Changing<'a, M> {
    path: &'a Path,
    dir: &'a Path,
    /// What is there, as far as is known.
    there: Option<Vec<u8>>,
    /// What the next content is made of: the newest that somebody else wrote.
    base: Option<Vec<u8>>,
    /// What others wrote and this displaced, each after what was there before. Somebody may have read the file while it
    /// had none of it, and may write it again without that.
    displaced: Vec<[Vec<u8>; 2]>,
    /// The file lacks the last of these.
    missing: bool,
    moment: M,
}

impl<M: FnMut(Moment)> Changing<'_, M> {
    /// Changes the base and puts it into place. `None` if somebody else has replaced the file meanwhile: again.
    fn round(
        &mut self,
        change: &mut impl FnMut(&mut Config) -> Result<bool>,
        any: &mut bool,
    ) -> Result<Option<Result<bool>>> {
        let changed = self.merged().and_then(|mut config| {
            let changed = change(&mut config).context(|| format!("`{}`", self.path.display()))?;
            Ok((changed, written(&config)?))
        });
        // What was displaced goes back even if there is nothing to change in it.
        let (outcome, content) = match (changed, self.base.clone()) {
            (Ok((false, _)), _) if self.displaced.is_empty() => return Ok(Some(Ok(false))),
            (Ok((changed, json)), _) => {
                *any |= changed;
                (Ok(*any), json)
            }
            (Err(error), Some(base)) if self.missing => (Err(error), base),
            (Err(error), _) => return Err(error),
        };
        let in_place = self.exchange(content).context(|| format!("cannot write `{}`", self.path.display()))?;
        Ok(in_place.then_some(outcome))
    }

    /// The base, with all that others wrote and this displaced.
    fn merged(&self) -> Result<Config> {
        let mut config = self.base.as_deref().map_or(Ok(Map::new()), |bytes| parse(bytes, self.path))?;
        for [before, theirs] in &self.displaced {
            // What cannot be read has gone back as it is.
            if let (Ok(before), Ok(theirs)) = (parse(before, self.path), parse(theirs, self.path)) {
                merge(&before, &theirs, &mut config);
            }
        }
        Ok(config)
    }

    /// Puts this content into place; `false` if something was there that is not in it.
    fn exchange(&mut self, content: Vec<u8>) -> Result<bool> {
        // Seen now, it is not displaced, and nobody reads a file without it.
        let now = bytes(self.path)?;
        if now != self.there {
            (self.there, self.base) = (now.clone(), now);
            return Ok(false);
        }
        (self.moment)(Moment::BeforeExchange);
        let found = put(self.path, self.dir, &content, self.there.is_some())?;
        (self.moment)(Moment::AfterExchange);
        if found == self.there {
            self.missing = false;
            return Ok(true);
        }
        self.base.clone_from(&found);
        // Something newer than what was read was there; it is displaced if ours could be put.
        self.there = match (self.there.take(), found) {
            (Some(before), Some(found)) => {
                self.displaced.push([before, found]);
                self.missing = true;
                Some(content)
            }
            (_, found) => found,
        };
        Ok(false)
    }

    /// Puts back what was displaced, without the change. A failure is not told: why it is given up is.
    fn put_back(&mut self) {
        for _ in 0..ROUNDS {
            if !self.missing {
                return;
            }
            let content = self.merged().and_then(|config| written(&config)).ok().or_else(|| self.base.clone());
            if content.is_none_or(|content| self.exchange(content).is_err()) {
                return;
            }
        }
    }
}

/// The text of a credential file.
fn written(config: &Config) -> Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(config).map_err(io::Error::from)?;
    json.push(b'\n');
    Ok(json)
}

/// Makes the change from `before` to `theirs` in another version, except where that one has changed as well.
fn merge(before: &Config, theirs: &Config, into: &mut Config) {
    for (key, value) in theirs {
        let was = before.get(key);
        match (value, into.get_mut(key)) {
            (Value::Object(value), Some(Value::Object(own))) => {
                merge(was.and_then(Value::as_object).unwrap_or(&Map::new()), value, own);
            }
            (value, own) if was != Some(value) && own.as_deref() == was => {
                drop(into.insert(key.clone(), value.clone()))
            }
            _ => {}
        }
    }
    for (key, was) in before.iter().filter(|(key, _)| !theirs.contains_key(*key)) {
        if into.get(key) == Some(was) {
            into.shift_remove(key);
        }
    }
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
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::config_file::{is_exposed, read};
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
        let mut once = Some(());
        let removed = change_among(
            &path,
            |config| Ok(config.remove("gone").is_some()),
            |moment| {
                if moment == Moment::BeforeExchange && once.take().is_some() {
                    std::fs::remove_file(&path).unwrap();
                    as_docker(&path, "docker");
                }
            },
        );
        assert!(removed.unwrap());
        assert_eq!(keys(&path), ["docker"]);
    }

    #[test]
    fn what_others_wrote_goes_back_if_it_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        as_docker(&path, "old");
        let changed = change_among(
            &path,
            |config| Ok(config.insert("ours".into(), json!(1)).is_none()),
            |moment| {
                if moment == Moment::BeforeExchange {
                    std::fs::write(dir.path().join("broken"), "{broken").unwrap();
                    std::fs::rename(dir.path().join("broken"), &path).unwrap();
                }
            },
        );
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

    /// Another program that reads the file and replaces it later, with a key more than it had when it was read.
    struct Slow(Option<Config>);

    impl Slow {
        fn reads(&mut self, path: &Path) {
            self.0 = read(path).unwrap();
        }

        fn writes(&mut self, path: &Path, key: &str) {
            let mut config = self.0.take().unwrap_or_default();
            config.insert(key.to_owned(), json!("slow"));
            let mut file = NamedTempFile::new_in(path.parent().unwrap()).unwrap();
            file.write_all(&serde_json::to_vec(&config).unwrap()).unwrap();
            file.persist(path).unwrap();
        }
    }

    #[test]
    fn what_was_displaced_is_kept_although_another_program_read_the_file_without_it() {
        // When the second program writes what it made of the file that lacked what the first wrote.
        for writes in [Moment::AfterExchange, Moment::BeforeExchange] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("config.json");
            as_docker(&path, "old");
            let (mut slow, mut step) = (Slow(None), 0);
            let changed = change_among(
                &path,
                |config| Ok(config.insert("ours".into(), json!(1)).is_none()),
                |moment| {
                    step += 1;
                    match (step, moment) {
                        (1, Moment::BeforeExchange) => as_docker(&path, "docker"),
                        (2, Moment::AfterExchange) => {
                            slow.reads(&path);
                            assert!(!slow.0.as_ref().unwrap().contains_key("docker"));
                            if writes == moment {
                                slow.writes(&path, "slow");
                            }
                        }
                        (3, Moment::BeforeExchange) if writes == moment => slow.writes(&path, "slow"),
                        _ => {}
                    }
                },
            );
            assert!(changed.unwrap());
            assert_eq!(keys(&path), ["docker", "old", "ours", "slow"], "{writes:?}");
        }
    }

    #[test]
    fn what_others_write_before_the_exchange_is_seen_and_nobody_reads_a_file_without_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        as_docker(&path, "old");
        let (mut rounds, mut exchanges) = (0, 0);
        let change = |config: &mut Config| {
            rounds += 1;
            if rounds == 1 {
                as_docker(&path, "docker");
            }
            Ok(config.insert("ours".into(), json!(1)).is_none())
        };
        assert!(
            change_among(&path, change, |moment| exchanges += usize::from(moment == Moment::AfterExchange)).unwrap()
        );
        assert_eq!((rounds, exchanges), (2, 1));
        assert_eq!(keys(&path), ["docker", "old", "ours"]);
    }

    #[test]
    fn who_gives_up_puts_back_all_that_was_displaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        as_docker(&path, "old");
        let mut written = 0;
        let changed = change_among(
            &path,
            |config| Ok(config.insert("ours".into(), json!(1)).is_none()),
            |moment| {
                if moment == Moment::BeforeExchange && written < ROUNDS {
                    // It has what was there, without what was displaced before.
                    as_docker(&path, &format!("docker{written:02}"));
                    written += 1;
                }
            },
        );
        assert_eq!(changed.unwrap_err().kind(), Kind::Unavailable);
        let found = keys(&path);
        for key in (0..ROUNDS).map(|n| format!("docker{n:02}")).chain(["old".into()]) {
            assert!(found.contains(&key), "{key}");
        }
    }

    #[test]
    fn what_one_program_adds_changes_or_removes_is_made_in_what_another_wrote() {
        let of = |text: &str| parse(text.as_bytes(), Path::new("config.json")).unwrap();
        let before = r#"{"auths":{"a":{"auth":"1"},"b":{"auth":"2"},"c":{"auth":"3"}},"x":1}"#;
        let theirs = r#"{"auths":{"a":{"auth":"1"},"b":{"auth":"9"},"d":{"auth":"4"}}}"#;
        for (into, want) in [
            (before, r#"{"auths":{"a":{"auth":"1"},"b":{"auth":"9"},"d":{"auth":"4"}}}"#),
            (r#"{"auths":{"e":{"auth":"5"}}}"#, r#"{"auths":{"e":{"auth":"5"},"d":{"auth":"4"}}}"#),
            (
                r#"{"auths":{"b":{"auth":"7"},"d":{"auth":"8"}},"x":2}"#,
                r#"{"auths":{"b":{"auth":"7"},"d":{"auth":"8"}},"x":2}"#,
            ),
            ("{}", "{}"),
            (r#"{"auths":3}"#, r#"{"auths":3}"#),
        ] {
            let mut found = of(into);
            merge(&of(before), &of(theirs), &mut found);
            assert_eq!(found, of(want), "{into}");
        }
    }
}
