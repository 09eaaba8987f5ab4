//! The credential files of docker and podman (docker's `config.json`; `auth.json` of containers-auth.json(5)), read
//! from paths given by the caller, and written by login and logout.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::{
    credentials::{Credential, Credentials},
    docker_auths::{from_entry, from_helper, key_of, matching, to_entry, to_helper},
    helper::Helper,
};
use crate::{
    error::{Context as _, Error, Kind, Result},
    fs,
    stores::registry::origins::origin::Origin,
};

/// Largest credential file, in bytes.
const MAX_CONFIG: u64 = 1 << 20;
/// How long a helper may take.
const HELPER_TIMEOUT: Duration = Duration::from_secs(60);

/// Credentials from files, of which the first that knows a registry wins; login and logout write to the first file.
///
/// In each file: the helper of `credHelpers` for the registry, else the one of `credsStore`, else the entry of `auths`
/// whose key is the longest prefix of `host/repository` that ends at a slash.
#[derive(Debug, Clone)]
pub struct AuthFiles {
    /// The files, in order; missing ones are skipped.
    pub files: Vec<PathBuf>,
    /// Absolute directories to search for helper programs.
    pub helper_dirs: Vec<PathBuf>,
    /// How long a helper may take.
    pub helper_timeout: Duration,
}

#[async_trait]
impl Credentials for AuthFiles {
    async fn get(&self, origin: &Origin, repository: &str) -> Result<Option<Credential>> {
        for path in &self.files {
            let Some(config) = read_config(path)? else { continue };
            let place = format!("`{}`", path.display());
            let found = self.look_up(&config, origin, repository, &place).await;
            if let Some(found) = found.context(|| format!("credentials in {place}"))? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl AuthFiles {
    /// Credentials from these files, helpers from these directories.
    #[must_use]
    pub fn new(files: Vec<PathBuf>, helper_dirs: Vec<PathBuf>) -> Self {
        Self { files, helper_dirs, helper_timeout: HELPER_TIMEOUT }
    }

    async fn look_up(
        &self,
        config: &Map<String, Value>,
        origin: &Origin,
        repository: &str,
        place: &str,
    ) -> Result<Option<Credential>> {
        if let Some(helper) = self.helper(config, origin)?
            && let Some(known) = helper.get(&key_of(origin)).await?
        {
            return Ok(Some(from_helper(origin, known)?.found_in(helper.name())));
        }
        let Some(auths) = config.get("auths").and_then(Value::as_object) else { return Ok(None) };
        let best = auths
            .iter()
            .filter_map(|(key, entry)| Some((matching(key, origin, repository)?, entry)))
            .max_by_key(|(len, _)| *len);
        match best {
            Some((_, entry)) => Ok(from_entry(origin, entry)?.map(|found| found.found_in(place))),
            None => Ok(None),
        }
    }

    /// The helper for the registry in this file.
    fn helper(&self, config: &Map<String, Value>, origin: &Origin) -> Result<Option<Helper>> {
        let own = config.get("credHelpers").and_then(Value::as_object).and_then(|helpers| {
            helpers.iter().find(|(key, _)| matching(key, origin, "").is_some()).map(|(_, name)| name)
        });
        let name = own.or_else(|| config.get("credsStore")).and_then(Value::as_str).filter(|name| !name.is_empty());
        name.map(|name| Helper::find(name, &self.helper_dirs, self.helper_timeout)).transpose()
    }

    /// Stores a credential: with the helper that the first file names, else in that file, which is replaced atomically,
    /// is readable by its owner only, and keeps everything about other registries.
    pub async fn login(&self, credential: &Credential) -> Result<()> {
        let (path, mut config, origin) = (self.first()?, self.config()?, credential.origin());
        if let Some(helper) = self.helper(&config, origin)? {
            return helper.store(&to_helper(credential)).await;
        }
        let auths = config.entry("auths").or_insert_with(|| json!({}));
        let Some(auths) = auths.as_object_mut() else {
            return Err(Error::invalid(format!("`{}`: `auths` is not an object", path.display())));
        };
        auths.retain(|key, _| key == &key_of(origin) || matching(key, origin, "").is_none());
        auths.insert(key_of(origin), to_entry(credential));
        write_config(path, config).await
    }

    /// Removes the credentials for the registry; `false` if there were none.
    pub async fn logout(&self, origin: &Origin) -> Result<bool> {
        let (path, mut config) = (self.first()?, self.config()?);
        let mut known = false;
        if let Some(helper) = self.helper(&config, origin)? {
            known = helper.erase(&key_of(origin)).await?;
        }
        let Some(auths) = config.get_mut("auths").and_then(Value::as_object_mut) else { return Ok(known) };
        let before = auths.len();
        auths.retain(|key, _| matching(key, origin, "").is_none());
        if auths.len() == before {
            return Ok(known);
        }
        write_config(path, config).await?;
        Ok(true)
    }

    fn first(&self) -> Result<&Path> {
        self.files.first().map(PathBuf::as_path).ok_or_else(|| Error::invalid("no file to store credentials in"))
    }

    fn config(&self) -> Result<Map<String, Value>> {
        Ok(read_config(self.first()?)?.unwrap_or_default())
    }
}

/// Reads a credential file; `None` if there is none. Messages never quote its content.
fn read_config(path: &Path) -> Result<Option<Map<String, Value>>> {
    let bytes = match fs::read_regular(path, MAX_CONFIG) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == Kind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Some(Map::new()));
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(config)) => Ok(Some(config)),
        Ok(_) => Err(Error::invalid(format!("`{}` is not a JSON object", path.display()))),
        Err(e) => {
            let place = format!("line {} column {}", e.line(), e.column());
            Err(Error::invalid(format!("`{}` is malformed JSON at {place}", path.display())))
        }
    }
}

/// Replaces a file atomically.
async fn write_config(path: &Path, config: Map<String, Value>) -> Result<()> {
    let path = path.to_owned();
    fs::blocking(move || {
        let write = || {
            let mut json = serde_json::to_vec_pretty(&config)?;
            json.push(b'\n');
            replace_private(&path, &json)
        };
        write().context(|| format!("cannot write `{}`", path.display()))
    })
    .await
}

/// Writes a small file atomically, readable by its owner only; a missing directory is created. A symbolic link is kept,
/// and its target replaced. Takes no lock: the directory is the user's, and its file system may not support locks;
/// names need not be UTF-8.
fn replace_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    // Created readable by its owner only.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(&path).map(drop).map_err(|e| e.error)
}

#[cfg(test)]
mod tests;
