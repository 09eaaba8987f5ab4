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

/// The tags that stand for a manifest, which go with it, and those that the store does not tell about. Errors: there are too
/// many tags to ask for; the store cannot list them.
pub(super) async fn tags_of(
    store: &dyn ReadStore,
    location: &Location,
    digest: &Digest,
) -> Result<(Vec<RefName>, Vec<(RefName, Error)>)> {
    let names = store.list_names().await?.names;
    if names.len() > MAX_TAGS && !is_local(&location.place) {
        return Err(Error::limit(format!("{} has {} tags", location.place, names.len())));
    }
    let asking = names.into_iter().map(|name| async move {
        let stands = stands_for(store, &name, digest).await;
        (name, stands)
    });
    let answers: Vec<_> = stream::iter(asking).buffered(QUESTIONS).collect().await;
    let (mut tags, mut unknown) = (Vec::new(), Vec::new());
    for (name, stands) in answers {
        match stands {
            Ok(true) => tags.push(name),
            Ok(false) => {}
            Err(error) => unknown.push((name, error)),
        }
    }
    Ok((tags, unknown))
}

/// Whether a name stands for this manifest. Errors: the store does not tell.
async fn stands_for(store: &dyn ReadStore, name: &RefName, digest: &Digest) -> Result<bool> {
    match store.resolve(&name.clone().into()).await {
        Ok(found) => Ok(found.digest == *digest),
        Err(e) if e.kind() == Kind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether a manifest has another name besides this tag. Errors: the store does not tell of one.
pub(super) async fn is_named_otherwise(store: &dyn ReadStore, desc: &Descriptor, tag: &Tag) -> Result<bool> {
    for name in store.list_names().await?.names {
        if *name != **tag && stands_for(store, &name, &desc.digest).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// All direct and indirect referrers of a manifest, with cosign's. Referrers precede their subjects, so that an
/// interrupted deletion leaves none without its subject.
pub(super) async fn referrers(store: &dyn ReadStore, subject: &Descriptor) -> Result<Vec<Related>> {
    let mut known: HashSet<Digest> = [subject.digest.clone()].into();
    let (mut found, mut next) = (Vec::new(), vec![subject.clone()]);
    while let Some(subject) = next.pop() {
        let asked = || format!("list the referrers of {}", subject.digest);
        let listed = store.referrers(&subject).await.context(asked)?.into_iter().map(|desc| (None, desc));
        let kept = graph::companions(store, &subject.digest).await.context(asked)?.into_iter();
        for (tag, desc) in listed.chain(kept.map(|(tag, desc)| (Some(tag), desc))) {
            if known.insert(desc.digest.clone()) {
                next.push(desc.clone());
                found.push(Related { desc, tag });
            }
        }
        if known.len() > MAX_ENTRIES {
            return Err(Error::limit(format!("more than {MAX_ENTRIES} manifests refer to {}", subject.digest)));
        }
    }
    found.reverse();
    Ok(found)
}
