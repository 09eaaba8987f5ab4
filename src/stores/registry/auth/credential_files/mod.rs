//! The credential files of docker and podman (docker's `config.json`; `auth.json` of containers-auth.json(5)), read
//! from paths given by the caller, and written by login and logout.

mod change;
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
    error::{Code, Context as _, Error, Result},
    fs,
    stores::registry::origins::origin::Origin,
};

/// How long a helper may take.
const HELPER_TIMEOUT: Duration = Duration::from_secs(60);

/// Credentials from files, of which the first that knows a registry wins; login and logout write to the first file.
///
/// In each file: the helper of `credHelpers` for the registry, else the one of `credsStore`, else the entry of `auths`
/// whose key is the longest prefix of `host/repository` that ends at a slash.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "the content of a file has secrets")]
pub struct AuthFiles {
    /// The content of a file that comes before all others: a variable such as `DOCKER_AUTH_CONFIG`, by its name.
    pub given: Option<(String, String)>,
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
        if let Some((name, text)) = &self.given {
            let place = format!("`{name}`");
            let found = async {
                let config = config_file::parse(text.as_bytes(), Path::new(name))?;
                self.look_up(&config, origin, repository, &place).await
            };
            if let Some(found) = found.await.context(|| format!("credentials in {place}"))? {
                return Ok(Some(found));
            }
        }
        for path in &self.files {
            let Some(config) = config_file::read(path)? else { continue };
            let place = format!("`{}`", path.display());
            let found = self.look_up(&config, origin, repository, &place).await;
            if let Some(found) = found.context(|| format!("credentials in {place}"))? {
                let is_file = found.source() == Some(&*place);
                return Ok(Some(found.exposed(is_file && config_file::is_exposed(path))));
            }
        }
        Ok(None)
    }
}

impl AuthFiles {
    /// Credentials from these files, helpers from these directories.
    #[must_use]
    pub fn new(files: Vec<PathBuf>, helper_dirs: Vec<PathBuf>) -> Self {
        Self { given: None, files, helper_dirs, helper_timeout: HELPER_TIMEOUT }
    }

    async fn look_up(
        &self,
        config: &Config,
        origin: &Origin,
        repository: &str,
        place: &str,
    ) -> Result<Option<Credential>> {
        // Without its helper, the file may still have the entry; whoever shows messages asks for `missing_helper`.
        let helper = match self.helper(config, origin) {
            Err(e) if e.code() == Some(Code::HelperMissing) => None,
            helper => helper?,
        };
        if let Some(helper) = helper
            && let Some(known) = helper.get(&key_of(origin, "")).await?
        {
            let found = from_helper(origin, known).map_err(|e| e.with_code(Code::HelperFailed));
            return found.context(|| helper.name()).map(|found| Some(found.found_in(helper.name())));
        }
        let Some(auths) = config.get("auths").and_then(Value::as_object) else { return Ok(None) };
        let best = auths
            .iter()
            .filter_map(|(key, entry)| Some((matching(key, origin, repository)?, entry)))
            .max_by_key(|(len, _)| *len);
        let found = best.map(|(_, entry)| from_entry(origin, entry)).transpose()?.flatten();
        Ok(found.map(|found| found.found_in(place)))
    }

    /// The helper for the registry in this file.
    fn helper(&self, config: &Config, origin: &Origin) -> Result<Option<Helper>> {
        let own = config.get("credHelpers").and_then(Value::as_object).and_then(|helpers| {
            helpers.iter().find(|(key, _)| matching(key, origin, "").is_some()).map(|(_, name)| name)
        });
        let name = own.or_else(|| config.get("credsStore")).and_then(Value::as_str).filter(|name| !name.is_empty());
        name.map(|name| Helper::find(name, &self.helper_dirs, self.helper_timeout)).transpose()
    }

    /// The error for a registry whose helper, according to the first file that names one, is not installed. Its
    /// credentials are looked for without it.
    #[must_use]
    pub fn missing_helper(&self, origin: &Origin) -> Option<Error> {
        let given = self
            .given
            .iter()
            .map(|(name, text)| (name.clone(), config_file::parse(text.as_bytes(), Path::new(name)).ok()));
        let read = |path: &PathBuf| (path.display().to_string(), config_file::read(path).ok().flatten());
        given.chain(self.files.iter().map(read)).find_map(|(place, config)| {
            let missing = self.helper(&config?, origin).err().filter(|e| e.code() == Some(Code::HelperMissing))?;
            Some(missing.context(format!("credentials in `{place}`")))
        })
    }

    /// Stores a credential: with the helper that the first file names, else in that file, which is replaced atomically,
    /// is readable by its owner only, and keeps everything about other registries, also what other programs write at the
    /// same time.
    ///
    /// `repositories`: the first parts of the names of those that it is for (containers-auth.json(5)); empty for all of
    /// the registry. A helper keeps credentials for whole registries only, so such go to the file.
    pub async fn login(&self, credential: &Credential, repositories: &str) -> Result<()> {
        let (path, origin) = (self.first()?.to_owned(), credential.origin().clone());
        if let Some(helper) = self.helper(&self.config()?, &origin)?.filter(|_| repositories.is_empty()) {
            return helper.store(&to_helper(credential)).await;
        }
        let (entry, own) = (to_entry(credential), key_of(&origin, repositories));
        let set = move |config: &mut Config| {
            let auths = config.entry("auths").or_insert_with(|| json!({}));
            let auths = auths.as_object_mut().ok_or_else(|| Error::invalid("`auths` is not an object"))?;
            let whole = own == key_of(&origin, "");
            auths.retain(|key, _| *key == own || !whole || matching(key, &origin, "").is_none());
            auths.insert(own.clone(), entry.clone());
            Ok(true)
        };
        change(path, set).await.map(drop)
    }

    /// Removes the credentials for the registry, or for repositories as in [`Self::login`]; `false` if there were none.
    pub async fn logout(&self, origin: &Origin, repositories: &str) -> Result<bool> {
        let (path, config) = (self.first()?.to_owned(), self.config()?);
        let known = match self.helper(&config, origin)?.filter(|_| repositories.is_empty()) {
            Some(helper) => helper.erase(&key_of(origin, "")).await?,
            None => false,
        };
        if config.get("auths").is_none_or(|auths| !auths.is_object()) {
            return Ok(known);
        }
        let (origin, own) = (origin.clone(), key_of(origin, repositories));
        let remove = move |config: &mut Config| {
            let Some(auths) = config.get_mut("auths").and_then(Value::as_object_mut) else { return Ok(false) };
            let before = auths.len();
            let whole = own == key_of(&origin, "");
            auths.retain(|key, _| if whole { matching(key, &origin, "").is_none() } else { *key != own });
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
    fs::blocking(move || change::change(&path, what)).await
}

#[cfg(test)]
mod tests;
