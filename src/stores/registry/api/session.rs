//! A writing session of a repository: blobs and plain manifests are sent at once; manifests that a reader would find by
//! a name or from their subject wait for `commit`.

use std::{
    collections::HashSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use super::{
    repository::RepositoryApi,
    streamed_upload::{Streamed, ended},
};
use crate::{
    blob::Blob,
    error::{Code, Context as _, Error, Kind, Result},
    oci::{Descriptor, Digest, Parsed, RefName, Role, Tag},
    progress::Outcome,
    store::{Committed, Expect, Home, Intent, Item, NameChange, NameOutcome, Session, Sink, compare},
};

pub(in crate::stores::registry) struct RegistrySession {
    repository: RepositoryApi,
    /// Manifests that get a name. They are sent under it, and not by digest before.
    named: HashSet<Digest>,
    /// Indexes of which members are left out.
    parts: HashSet<Digest>,
    removals: Vec<Item>,
    staged: Mutex<Staged>,
    /// The registry rejected a manifest because of missing content: its claims to have content, or to have mounted it,
    /// are no longer trusted, except for content that was sent.
    doubted: AtomicBool,
    sent: Mutex<HashSet<Digest>>,
    /// Signals to pending uploads that the session was abandoned.
    given_up: watch::Sender<bool>,
}

#[derive(Clone, Default)]
struct Staged {
    /// Manifests not sent yet, children and subjects first; of those in `tried`, only the names are not set yet.
    held: Vec<HeldManifest>,
    /// Manifests that were sent by digest, to see whether they are accepted.
    tried: HashSet<Digest>,
    names: Vec<NameChange>,
    over: bool,
}

#[derive(Clone)]
struct HeldManifest {
    desc: Descriptor,
    bytes: Bytes,
    parsed: Parsed,
}

impl HeldManifest {
    /// True if this manifest requires that one to exist first.
    fn needs(&self, digest: &Digest) -> bool {
        let children = self.parsed.children();
        let mut below = children.iter().filter(|(role, _)| *role == Role::Manifest).map(|(_, child)| &child.digest);
        below.any(|child| child == digest) || self.parsed.subject().is_some_and(|subject| subject.digest == *digest)
    }
}

impl RegistrySession {
    pub(in crate::stores::registry) fn begin(repository: RepositoryApi, intent: Intent) -> Self {
        let named = intent.names.into_iter().filter_map(|change| change.to).map(|desc| desc.digest).collect();
        // Its uploads are its own, so that abandoning it does not affect other sessions.
        let repository = repository.with_own_uploads();
        Self {
            repository,
            named,
            parts: intent.parts.into_keys().collect(),
            removals: intent.removals,
            staged: Mutex::default(),
            doubted: AtomicBool::new(false),
            sent: Mutex::default(),
            given_up: watch::Sender::default(),
        }
    }

    fn staged(&self) -> MutexGuard<'_, Staged> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if a manifest must wait for `commit`.
    fn waits(&self, manifest: &HeldManifest) -> bool {
        self.named.contains(&manifest.desc.digest)
            || manifest.parsed.subject().is_some()
            || self.staged().held.iter().any(|held| manifest.needs(&held.desc.digest))
    }

    /// Sends by digest the manifests that have no name or that others require, and returns the digests of all that were
    /// sent so.
    async fn send_first(
        &self,
        held: &[HeldManifest],
        named: &HashSet<&Digest>,
        mut sent: HashSet<Digest>,
    ) -> Result<HashSet<Digest>> {
        for HeldManifest { desc, bytes, .. } in held {
            if sent.contains(&desc.digest) {
                continue;
            }
            if !named.contains(&desc.digest) || held.iter().any(|other| other.needs(&desc.digest)) {
                let published = self.repository.publish_manifest(desc, bytes, &[]).await;
                published.context(|| format!("copy manifest {} to {}", desc.digest, self.repository))?;
                sent.insert(desc.digest.clone());
            }
        }
        Ok(sent)
    }

    /// Sets or removes one name, which stands for `found` if that was asked; `sent` are the manifests that exist
    /// already.
    async fn set_name(
        &self,
        change: &NameChange,
        found: Option<&Digest>,
        held: &[HeldManifest],
        sent: &mut HashSet<Digest>,
    ) -> Result<NameOutcome> {
        let NameChange { name, to, expect, .. } = change;
        let Some(desc) = to else {
            return self.repository.remove_tag(name).await.map(|()| NameOutcome::Removed);
        };
        if found == Some(&desc.digest) {
            return Ok(NameOutcome::Same);
        }
        let name = std::slice::from_ref(name);
        match held.iter().find(|held| held.desc.digest == desc.digest) {
            Some(HeldManifest { desc, bytes, .. }) if sent.insert(desc.digest.clone()) => {
                self.repository.publish_manifest(desc, bytes, name).await?;
            }
            Some(HeldManifest { desc, bytes, .. }) => drop(self.repository.put_under(desc, bytes, name).await?),
            None => self.repository.put_tag(&change.name, desc).await?,
        }
        Ok(match expect {
            Expect::Any => NameOutcome::Set,
            _ => NameOutcome::of(found, Some(&desc.digest)),
        })
    }

    /// The manifest that a name stands for now, if needed. Errors: it is not as expected.
    async fn expected(&self, name: &RefName, expect: &Expect) -> Result<Option<Digest>> {
        if *expect == Expect::Any {
            return Ok(None);
        }
        let found = match self.repository.describe(name).await {
            Ok(found) => Some(found.digest),
            Err(e) if e.kind() == Kind::NotFound => None,
            Err(e) => return Err(e),
        };
        expect.check(name, found.as_ref())?;
        Ok(found)
    }

    /// Sends pending manifests and sets all names.
    async fn publish_all(&self) -> Result<Committed> {
        let Staged { held, tried, names, over } = self.staged().clone();
        if over {
            return Err(ended());
        }
        let mut found = Vec::new();
        for change in &names {
            found.push(self.expected(&change.name, &change.expect).await?);
        }
        let named = names.iter().filter_map(|change| change.to.as_ref()).map(|desc| &desc.digest).collect();
        let mut sent = self.send_first(&held, &named, tried).await?;
        let mut committed = Committed::default();
        for (change, found) in names.iter().zip(&found) {
            let what = || format!("tag `{}` in {}", change.name, self.repository);
            let set = self.set_name(change, found.as_ref(), &held, &mut sent).await.context(what);
            let outcome = set.map_err(|e| after(&committed, e))?;
            committed.names.push((change.name.clone(), outcome));
        }
        for item in &self.removals {
            self.repository.remove(item).await?;
        }
        Ok(committed)
    }

    /// Sends an index of which members are left out by its digest, before any name is set: many registries refuse it.
    async fn try_part(&self, desc: &Descriptor, bytes: &Bytes) -> Result<()> {
        let repository = &self.repository;
        let refused = |e: &Error| match e.code() {
            Some(Code::ContentMissing) => true,
            code => code.is_none() && matches!(e.kind(), Kind::Invalid | Kind::NotFound),
        };
        match repository.publish_manifest(desc, bytes, &[]).await {
            Err(e) if refused(&e) => {
                let message = format!("{repository} takes an index with all its members only");
                Err(Error::caused(Kind::Invalid, message, e).with_code(Code::PartialIndexRefused))
            }
            other => other,
        }?;
        self.staged().tried.insert(desc.digest.clone());
        Ok(())
    }

    /// Ensures that a blob is stored.
    async fn bring_blob(&self, desc: &Descriptor, blob: &dyn Blob, mount_from: &[Home]) -> Result<Outcome> {
        let sent = || self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = match self.doubted.load(Ordering::Relaxed) {
            false => self.repository.ensure_blob(desc, blob, mount_from).await,
            true if sent().contains(&desc.digest) => self.repository.ensure_blob(desc, blob, &[]).await,
            true => self.repository.push_blob(desc, blob).await.map(|()| Outcome::Moved),
        };
        if matches!(outcome, Ok(Outcome::Moved)) {
            sent().insert(desc.digest.clone());
        }
        outcome
    }

    /// Passes a result on; missing content makes the session distrust the registry's claims.
    fn doubting<T>(&self, result: Result<T>) -> Result<T> {
        if result.as_ref().is_err_and(|e| e.code() == Some(Code::ContentMissing)) {
            self.doubted.store(true, Ordering::Relaxed);
        }
        result
    }
}

#[async_trait]
impl Session for RegistrySession {
    async fn put(&self, desc: &Descriptor, blob: &dyn Blob, mount_from: &[Home]) -> Result<Outcome> {
        let mut given_up = self.given_up.subscribe();
        tokio::select! {
            biased;
            _ = given_up.wait_for(|given_up| *given_up) => Err(ended()),
            outcome = self.bring_blob(desc, blob, mount_from) => self.repository.located(outcome),
        }
    }

    async fn stream(&self, size: Option<u64>) -> Result<Box<dyn Sink>> {
        let opened = Streamed::open(&self.repository, size, self.given_up.subscribe()).await;
        Ok(Box::new(self.repository.located(opened)?))
    }

    async fn manifest(&self, desc: &Descriptor, bytes: &Bytes) -> Result<Outcome> {
        compare(&desc.digest, Digest::with(desc.digest.algorithm(), bytes))?;
        let parsed = Parsed::read(&desc.media_type, bytes)?;
        let manifest = HeldManifest { desc: desc.clone(), bytes: bytes.clone(), parsed };
        if self.staged().over {
            return Err(ended());
        }
        if self.parts.contains(&desc.digest) {
            self.repository.located(self.try_part(desc, bytes).await)?;
        }
        if self.parts.contains(&desc.digest) || self.waits(&manifest) {
            let mut staged = self.staged();
            if staged.held.iter().all(|held| held.desc.digest != desc.digest) {
                staged.held.push(manifest);
            }
        } else {
            let published = self.repository.publish_manifest(desc, bytes, &[]).await;
            self.repository.located(self.doubting(published))?;
        }
        Ok(Outcome::Moved)
    }

    async fn offer(&self, desc: &Descriptor, bytes: &Bytes) -> Result<()> {
        match self.repository.put_manifest(desc, bytes, &desc.digest.to_string(), &[]).await {
            // Content is checked after the media type.
            Err(e) if e.code() == Some(Code::ContentMissing) => Ok(()),
            Err(e) if matches!(e.kind(), Kind::Invalid | Kind::NotFound | Kind::Unsupported) => {
                let message =
                    format!("{} does not accept manifests of type `{}` ({e})", self.repository, desc.media_type);
                Err(Error::unsupported(message))
            }
            other => self.repository.located(other.map(drop)),
        }
    }

    fn name(&self, change: NameChange) -> Result<()> {
        change.name.parse::<Tag>()?;
        let mut staged = self.staged();
        if staged.over {
            return Err(ended());
        }
        staged.names.push(change);
        Ok(())
    }

    async fn commit(&self) -> Result<Committed> {
        let committed = self.repository.located(self.doubting(self.publish_all().await))?;
        // A cancelled caller may ask again: manifests and names are then sent once more.
        *self.staged() = Staged { over: true, ..Staged::default() };
        Ok(committed)
    }

    async fn abandon(&self) {
        *self.staged() = Staged { over: true, ..Staged::default() };
        self.given_up.send_replace(true);
        self.repository.uploads.cancel_all().await;
    }
}

/// Adds the names that were set before the error.
fn after(committed: &Committed, error: Error) -> Error {
    if committed.names.is_empty() {
        return error;
    }
    let names: Vec<&str> = committed.names.iter().map(|(name, _)| name.as_str()).collect();
    error.context(format!("after setting `{}`", names.join("`, `")))
}
