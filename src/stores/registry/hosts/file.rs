//! Our own configuration file, in the form shown in `examples/hosts.yaml`.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    files::{self, certificate},
    prefix::Prefix,
};
use crate::{
    document::{self, Document, typed},
    error::{Context as _, Error, Result},
    stores::registry::{
        net::proxy::Proxies,
        options::Options,
        origins::origin::{Origin, Protocol},
    },
};

/// The settings for a prefix. Not printable: the URL of a proxy may contain a password.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default, expecting = "the settings of a host")]
pub(super) struct Entry {
    plain_http: Option<bool>,
    insecure: Option<bool>,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    proxy: Option<String>,
    trusted: Vec<String>,
    addresses: Vec<IpAddr>,
    pub(super) blocked: Option<bool>,
    #[serde(rename = "mirrors")]
    named: Option<Vec<Named>>,
    #[serde(skip)]
    pub(super) mirrors: Option<Vec<Mirror>>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    location: String,
    #[serde(default)]
    names: bool,
}

/// A mirror of a prefix.
#[derive(Clone)]
pub(super) struct Mirror {
    pub(super) location: Prefix,
    pub(super) names: bool,
}

/// Reads a file; paths in it are relative to its directory.
pub(super) fn read(path: &Path) -> Result<BTreeMap<Prefix, Entry>> {
    let origin = path.display().to_string();
    let text = String::from_utf8(read_named(path)?).map_err(|_| Error::invalid(format!("`{origin}` is not UTF-8")))?;
    let document = Document::parse(text.as_bytes(), &origin, &document::Options { aliases: 0, ..Default::default() })?;
    if document.value.is_null() {
        return Ok(BTreeMap::new());
    }
    let entries: BTreeMap<String, Entry> = typed(&document)?;
    let dir = path.parent().unwrap_or(Path::new(""));
    let mut all = BTreeMap::new();
    for (key, mut entry) in entries {
        let pointer = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
        let place = || document.place(&pointer);
        for file in [&mut entry.ca_file, &mut entry.cert_file, &mut entry.key_file].into_iter().flatten() {
            *file = dir.join(&*file);
        }
        entry.mirrors = entry.mirrors().context(place)?;
        if all.insert(Prefix::parse(&key, false).context(place)?, entry).is_some() {
            return Err(Error::invalid(format!("duplicate key `{key}`")).context(place()));
        }
    }
    Ok(all)
}

impl Entry {
    fn mirrors(&self) -> Result<Option<Vec<Mirror>>> {
        let mirror = |m: &Named| Ok(Mirror { location: Prefix::parse(&m.location, false)?, names: m.names });
        self.named.as_ref().map(|all| all.iter().map(mirror).collect()).transpose()
    }

    /// Applies these settings to the options.
    pub(super) fn apply(&self, registry: &str, options: &mut Options) -> Result<()> {
        if let Some(plain) = self.plain_http {
            options.protocol = if plain { Protocol::Http } else { Protocol::Https };
        }
        options.insecure_tls = self.insecure.unwrap_or(options.insecure_tls);
        if let Some(file) = &self.ca_file {
            options.roots.push(files::roots(file).map_err(Error::of_configuration)?);
        }
        if let Some(file) = &self.cert_file {
            options.certificate = Some(certificate(file, self.key_file.as_ref().unwrap_or(file))?);
        }
        match self.proxy.as_deref() {
            Some("none") => options.proxies = Proxies::default(),
            Some(url) => options.proxies = Proxies::all(url),
            None => {}
        }
        options.trusted.extend(self.trusted.iter().cloned());
        if !self.addresses.is_empty() {
            let host = Origin::of_registry(registry, options.protocol)?.host().to_owned();
            options.addresses.insert(host, self.addresses.clone());
        }
        Ok(())
    }
}

/// Reads a configured file, which must exist: its error must not look like that of a missing artifact.
fn read_named(path: &Path) -> Result<Vec<u8>> {
    files::read(path).map_err(Error::of_configuration)
}
