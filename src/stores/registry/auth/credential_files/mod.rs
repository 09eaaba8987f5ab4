//! The credential files of docker and podman (docker's `config.json`; `auth.json` of containers-auth.json(5)), read
//! from paths given by the caller, and written by login and logout.

mod config_file;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};

use self::config_file::Config;
use super::{
    credentials::{Credential, Credentials},
    docker_auths::{from_entry, from_helper, key_of, matching, to_entry, to_helper},
    helper::Helper,
};
use crate::{
    error::{Context as _, Error, Result},
    fs,
    stores::registry::origins::origin::Origin,
};

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
            let Some(config) = config_file::read(path)? else { continue };
            let place = format!("`{}`", path.display());
            let found = self.look_up(&config, origin, repository, path).await;
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
        config: &Config,
        origin: &Origin,
        repository: &str,
        path: &Path,
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
            Some((_, entry)) => {
                let found = from_entry(origin, entry)?.map(|found| found.found_in(format!("`{}`", path.display())));
                Ok(found.map(|found| found.exposed(config_file::is_exposed(path))))
            }
            None => Ok(None),
        }
    }

    /// The helper for the registry in this file.
    fn helper(&self, config: &Config, origin: &Origin) -> Result<Option<Helper>> {
        let own = config.get("credHelpers").and_then(Value::as_object).and_then(|helpers| {
            helpers.iter().find(|(key, _)| matching(key, origin, "").is_some()).map(|(_, name)| name)
        });
        let name = own.or_else(|| config.get("credsStore")).and_then(Value::as_str).filter(|name| !name.is_empty());
        name.map(|name| Helper::find(name, &self.helper_dirs, self.helper_timeout)).transpose()
    }

    /// Stores a credential: with the helper that the first file names, else in that file, which is replaced atomically,
    /// is readable by its owner only, and keeps everything about other registries, also what other programs write at the
    /// same time.
    pub async fn login(&self, credential: &Credential) -> Result<()> {
        let (path, origin) = (self.first()?.to_owned(), credential.origin().clone());
        if let Some(helper) = self.helper(&self.config()?, &origin)? {
            return helper.store(&to_helper(credential)).await;
        }
        let entry = to_entry(credential);
        let set = move |config: &mut Config| {
            let auths = config.entry("auths").or_insert_with(|| json!({}));
            let auths = auths.as_object_mut().ok_or_else(|| Error::invalid("`auths` is not an object"))?;
            auths.retain(|key, _| key == &key_of(&origin) || matching(key, &origin, "").is_none());
            auths.insert(key_of(&origin), entry.clone());
            Ok(true)
        };
        change(path, set).await.map(drop)
    }

    /// Removes the credentials for the registry; `false` if there were none.
    pub async fn logout(&self, origin: &Origin) -> Result<bool> {
        let (path, config) = (self.first()?.to_owned(), self.config()?);
        let known = match self.helper(&config, origin)? {
            Some(helper) => helper.erase(&key_of(origin)).await?,
            None => false,
        };
        if config.get("auths").is_none_or(|auths| !auths.is_object()) {
            return Ok(known);
        }
        let origin = origin.clone();
        let remove = move |config: &mut Config| {
            let Some(auths) = config.get_mut("auths").and_then(Value::as_object_mut) else { return Ok(false) };
            let before = auths.len();
            auths.retain(|key, _| matching(key, &origin, "").is_none());
            Ok(auths.len() != before)
        };
        Ok(change(path, remove).await? || known)
    }

    fn first(&self) -> Result<&Path> {
        self.files.first().map(PathBuf::as_path).ok_or_else(|| Error::invalid("no file to store credentials in"))
    }

    fn config(&self) -> Result<Config> {
        Ok(config_file::read(self.first()?)?.unwrap_or_default())
    }
}

async fn change(path: PathBuf, what: impl FnMut(&mut Config) -> Result<bool> + Send + 'static) -> Result<bool> {
    let place = format!("`{}`", path.display());
    fs::blocking(move || config_file::change(&path, what)).await.context(|| place)
}

#[cfg(test)]
mod tests;
