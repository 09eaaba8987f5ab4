//! What is about a manifest, and under which tags it is.

use std::{collections::HashSet, fmt};

use artifact::{
    Error, Kind, Result,
    error::Context as _,
    graph::{self, MAX_ENTRIES},
    location::Location,
    oci::{Descriptor, Digest, RefName, Tag},
    store::ReadStore,
};
use futures_util::{StreamExt as _, stream};

use super::{is_local, removal::QUESTIONS};

/// Most tags of a repository that are asked whether they stand for a manifest.
const MAX_TAGS: usize = 1000;

/// A referrer, or a manifest that cosign keeps under a tag.
pub(super) struct Related {
    pub(super) desc: Descriptor,
    /// The tag of a manifest kept by cosign.
    pub(super) tag: Option<Tag>,
    /// Whether it goes with what it is about: what cosign keeps does, and a referrer if that is wanted.
    pub(super) goes: bool,
    /// Whether the tag goes alone, since its manifest has other names, or nobody knows of some.
    pub(super) is_named_otherwise: bool,
}

impl fmt::Display for Related {
    /// Writes the end of a location: `:tag` or `@digest`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tag {
            Some(tag) => write!(f, ":{tag}"),
            None => write!(f, "@{}", self.desc.digest),
        }
    }
}

/// What names stand for.
pub(super) struct Names {
    known: Vec<(RefName, Digest)>,
    /// Those that the store does not tell about.
    pub(super) unknown: Vec<(RefName, Error)>,
}

impl Names {
    /// The names of a store. Errors: there are too many to ask for; the store cannot list them.
    pub(super) async fn of(store: &dyn ReadStore, location: &Location) -> Result<Self> {
        let names = store.list_names().await?.names;
        if names.len() > MAX_TAGS && !is_local(&location.place) {
            return Err(Error::limit(format!("{} has {} tags", location.place, names.len())));
        }
        let asking = names.into_iter().map(|name| async move {
            let stands = store.resolve(&name.clone().into()).await;
            (name, stands)
        });
        let answers: Vec<_> = stream::iter(asking).buffered(QUESTIONS).collect().await;
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for (name, stands) in answers {
            match stands {
                Ok(desc) => known.push((name, desc.digest)),
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) => unknown.push((name, error)),
            }
        }
        Ok(Self { known, unknown })
    }

    /// The names of a manifest, which go with it.
    pub(super) fn standing_for(&self, digest: &Digest) -> Vec<RefName> {
        self.known.iter().filter(|(_, found)| found == digest).map(|(name, _)| name.clone()).collect()
    }

    /// Whether a manifest may have another name than these tags.
    fn may_have_others(&self, digest: &Digest, than: &[Tag]) -> bool {
        let others = || self.standing_for(digest).iter().any(|name| than.iter().all(|tag| **tag != **name));
        !self.unknown.is_empty() || others()
    }
}

/// What cosign keeps about a manifest under tags that go with it. A manifest that has other names, or may have, stays.
pub(super) async fn kept_by_cosign(
    store: &dyn ReadStore,
    subject: &Descriptor,
    names: Option<&Names>,
) -> Result<Vec<Related>> {
    let tags = Tag::companions_of(&subject.digest);
    let kept = graph::companions(store, &subject.digest).await?.into_iter().map(|(tag, desc)| {
        let is_named_otherwise = names.is_none_or(|names| names.may_have_others(&desc.digest, &tags));
        Related { desc, tag: Some(tag), goes: true, is_named_otherwise }
    });
    Ok(kept.collect())
}

/// All direct and indirect referrers of a manifest, with cosign's. Referrers precede their subjects, so that an
/// interrupted deletion leaves none without its subject. `all`: referrers go, too.
pub(super) async fn referrers(
    store: &dyn ReadStore,
    subject: &Descriptor,
    names: Option<&Names>,
    all: bool,
) -> Result<Vec<Related>> {
    let mut known: HashSet<(Digest, Option<Tag>)> = HashSet::new();
    let mut asked: HashSet<Digest> = [subject.digest.clone()].into();
    let (mut found, mut next) = (Vec::new(), vec![(subject.clone(), true)]);
    while let Some((subject, goes)) = next.pop() {
        let asking = || format!("list the referrers of {}", subject.digest);
        let listed = store.referrers(&subject).await.context(asking)?.into_iter();
        let listed = listed.map(|desc| Related { desc, tag: None, goes: all, is_named_otherwise: false });
        for mut related in listed.chain(kept_by_cosign(store, &subject, names).await.context(asking)?) {
            related.goes &= goes;
            let desc = &related.desc;
            if asked.insert(desc.digest.clone()) {
                next.push((desc.clone(), related.goes && !related.is_named_otherwise));
            }
            if known.insert((desc.digest.clone(), related.tag.clone())) {
                found.push(related);
            }
        }
        if known.len() > MAX_ENTRIES {
            return Err(Error::limit(format!("more than {MAX_ENTRIES} manifests refer to {}", subject.digest)));
        }
    }
    found.reverse();
    Ok(found)
}
