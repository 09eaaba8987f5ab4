//! Referrers of a manifest: from the registry's own list, else from the one that clients maintain under a tag
//! (distribution-spec 1.1, "Listing Referrers" and "Referrers Tag Schema").

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderValue, Method, header};

use super::{
    manifests::referrer,
    pages::{MAX_PAGE, Pages},
    repository::RepositoryApi,
};
use crate::{
    error::{Code, Error, Kind, Result, ServerCode},
    oci::{Descriptor, Digest, Index, Parsed, Tag, json::Encoding, media_type},
    stores::registry::{auth::scope::Access, http::document::Document, origins::redact::excerpt},
};

/// How often a list is rewritten after a concurrent change.
const ATTEMPTS: usize = 8;
/// How many entries of a list are checked at a time.
const PARALLEL: usize = 6;

impl RepositoryApi {
    /// The referrers of a manifest, with artifact type and annotations, sorted by digest. A list that cannot be read is an
    /// error, never an empty list; what is no answer of the API leads to the tag.
    pub(in crate::stores::registry) async fn list_referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        if self.registry.referrer_lists.kept_by_registry(&self.name) != Some(false)
            && let Some(found) = self.referrers_by_api(&subject.digest).await?
        {
            return Ok(found);
        }
        self.referrers_by_tag(&subject.digest).await
    }

    /// The registry's own list; `None` if it has none.
    async fn referrers_by_api(&self, subject: &Digest) -> Result<Option<Vec<Descriptor>>> {
        let request = self
            .request(Method::GET, &format!("referrers/{subject}"))?
            .with(header::ACCEPT, HeaderValue::from_static(media_type::INDEX))
            .whole(MAX_PAGE);
        let refused = |error: Error| match error.kind() {
            Kind::Denied | Kind::Unavailable => error.with_code(Code::ReferrersRefused),
            _ => error,
        };
        let response = self.send(&request, Access::Pull).await.map_err(refused)?;
        // The specification has 404 for this; in front of registries that do not know the path, others stand.
        if matches!(response.status.as_u16(), 400 | 404 | 405 | 406 | 501) {
            let unknown = response.into_error().await.server_codes().contains(&ServerCode::NameUnknown);
            // A repository that does not exist yet reveals nothing about the registry.
            if !unknown {
                self.registry.referrer_lists.set_kept_by_registry(&self.name, false);
            }
            return Ok(None);
        }
        let first = response.expect(&[200]).await.map_err(refused)?;
        let mut all = BTreeMap::new();
        let mut pages = Pages::of(&self.registry.transport, self.pull_scope(), first);
        while let Some(page) = pages.next().await? {
            let Some(index) = listed(&page)? else {
                if !all.is_empty() {
                    let answered =
                        format!("{}: answered with `{}`, not an index", page.what, page.excerpt(&page.media_type));
                    return Err(Error::new(Kind::NotARegistry, answered));
                }
                // A page of a website, for example: this path is not the API's.
                self.registry.referrer_lists.set_kept_by_registry(&self.name, false);
                return Ok(None);
            };
            let before = all.len();
            all.extend(index.manifests.into_iter().map(|desc| (desc.digest.clone(), desc)));
            pages.count(all.len().saturating_sub(before), all.len())?;
        }
        self.registry.referrer_lists.set_kept_by_registry(&self.name, true);
        Ok(Some(all.into_values().collect()))
    }

    /// The entries of the list under the fallback tag that their manifests confirm: GitLab resolves this tag to the
    /// subject itself, and anyone with push access may write it.
    async fn referrers_by_tag(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        let Some(tagged) = self.tagged(&Tag::of_referrers(subject), subject).await? else { return Ok(Vec::new()) };
        let Fallback::List(index) = Fallback::read(subject, tagged)? else { return Ok(Vec::new()) };
        let members: BTreeMap<_, _> = index.manifests.into_iter().map(|d| (d.digest.clone(), d)).collect();
        let checked: Vec<Option<Descriptor>> = stream::iter(members.into_values())
            .map(|member| self.checked(member, subject))
            .buffered(PARALLEL)
            .try_collect()
            .await?;
        Ok(checked.into_iter().flatten().collect())
    }

    /// The entry as its own manifest describes it; `None` if it no longer exists or has another subject.
    async fn checked(&self, member: Descriptor, subject: &Digest) -> Result<Option<Descriptor>> {
        if !media_type::points(&member.media_type) {
            return Ok(None);
        }
        let bytes = match self.verified_manifest(&member.bare()).await {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == Kind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let parsed = Parsed::read(&member.media_type, &bytes)?;
        let about = parsed.subject().is_some_and(|own| own.digest == *subject);
        Ok(about.then(|| referrer(&member, Some(&parsed))))
    }

    /// Ensures that a newly pushed manifest is listed. `listed`: the registry claims to do so itself, which is trusted
    /// if it also serves the list.
    pub(super) async fn list_referrer(&self, subject: &Descriptor, new: &Descriptor, listed: bool) -> Result<()> {
        if listed {
            let known = match self.registry.referrer_lists.kept_by_registry(&self.name) {
                Some(known) => known,
                // Where the list cannot be read, nobody knows; it may be kept twice.
                None => self.referrers_by_api(&subject.digest).await.is_ok_and(|found| found.is_some()),
            };
            if known {
                return Ok(());
            }
        }
        self.edit_list(&subject.digest, |list| {
            let missing = list.iter().all(|desc| desc.digest != new.digest);
            if missing {
                list.push(new.clone());
            }
            missing
        })
        .await
    }

    /// Removes a deleted manifest from the list under the fallback tag, if there is one.
    pub(super) async fn unlist_referrer(&self, subject: &Descriptor, gone: &Digest) -> Result<()> {
        if self.registry.referrer_lists.kept_by_registry(&self.name) == Some(true)
            || self.tagged(&Tag::of_referrers(&subject.digest), &subject.digest).await?.is_none()
        {
            return Ok(());
        }
        self.edit_list(&subject.digest, |list| {
            let before = list.len();
            list.retain(|desc| desc.digest != *gone);
            list.len() != before
        })
        .await
    }

    /// Changes the list under the fallback tag, with one writer at a time in this process. Since registries have no
    /// conditional writes, the list is read back, and changed again if another process interfered.
    async fn edit_list(&self, subject: &Digest, mut change: impl FnMut(&mut Vec<Descriptor>) -> bool) -> Result<()> {
        let lock = self.registry.referrer_lists.writer(&self.name, subject);
        let _alone = lock.lock().await;
        let name = Tag::of_referrers(subject);
        for _ in 0..ATTEMPTS {
            let tagged = self.tagged(&name, subject).await?;
            let mut index = match tagged.map(|tagged| Fallback::read(subject, tagged)).transpose()? {
                None | Some(Fallback::Subject) => Index::of(Vec::new()),
                Some(Fallback::List(index)) => *index,
                Some(Fallback::Other(media_type)) => {
                    let media_type = excerpt(&media_type);
                    return Err(Error::unsupported(format!(
                        "tag `{name}` of {self} is a `{media_type}`, not a list of referrers"
                    )));
                }
            };
            let dropped = self.drop_strangers(&mut index, subject).await;
            if !change(&mut index.manifests) && !dropped {
                return Ok(());
            }
            index.media_type = Some(media_type::INDEX.into());
            let bytes = Bytes::from(Encoding::Go.encode(&index)?);
            let desc = Descriptor::of(media_type::INDEX, &bytes);
            self.put_manifest(&desc, &bytes, &name, &[]).await?;
        }
        Err(Error::new(
            Kind::Unavailable,
            format!("tag `{name}` of {self} keeps changing: another client is writing it"),
        ))
    }

    /// Removes entries with another subject from a list: the platforms of an index that was once mistaken for a list.
    /// Entries written for a list have an artifact type (distribution-spec, "Referrers Tag Schema") and are not
    /// checked. `false` if nothing was removed.
    async fn drop_strangers(&self, index: &mut Index, subject: &Digest) -> bool {
        let mut kept = Vec::with_capacity(index.manifests.len());
        let before = index.manifests.len();
        for member in std::mem::take(&mut index.manifests) {
            let doubtful = member.artifact_type.is_none();
            match if doubtful { self.checked(member.clone(), subject).await } else { Ok(Some(member.clone())) } {
                Ok(checked) => kept.extend(checked),
                // An unreadable entry may still be a referrer.
                Err(_) => kept.push(member),
            }
        }
        index.manifests = kept;
        index.manifests.len() != before
    }
}

/// The list on a page of the API: some registries serve it with a generic media type, or none. `None` if it is no list.
///
/// Errors: a malformed index.
fn listed(page: &Document) -> Result<Option<Index>> {
    if page.media_type == media_type::INDEX {
        return page.read().map(Some);
    }
    Ok(Parsed::sniff(&page.bytes).is_ok_and(|own| own == media_type::INDEX).then(|| page.read().ok()).flatten())
}

/// The content under the fallback tag of a subject.
enum Fallback {
    /// The subject itself: GitLab resolves this tag to it, and `cosign copy` leaves it there.
    Subject,
    /// A list.
    List(Box<Index>),
    /// Another document, of this media type.
    Other(String),
}

impl Fallback {
    /// Decides by content: registries and proxies serve lists with any media type, or none.
    fn read(subject: &Digest, (given, bytes): (String, Bytes)) -> Result<Self> {
        if Digest::with(subject.algorithm(), &bytes) == *subject {
            return Ok(Self::Subject);
        }
        let media_type = match Parsed::sniff(&bytes) {
            Ok(own) if media_type::is_index(&own) => own,
            _ => given,
        };
        if !media_type::is_index(&media_type) {
            return Ok(Self::Other(media_type));
        }
        match Parsed::read(&media_type, &bytes)? {
            Parsed::Index(index) => Ok(Self::List(index)),
            Parsed::Manifest(_) | Parsed::Other(_) => {
                Err(Error::mismatch("expected a list of manifests, got a manifest"))
            }
        }
    }
}
