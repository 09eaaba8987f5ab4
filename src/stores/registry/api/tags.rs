//! Tags: listing, setting and removing them.

use std::collections::HashSet;

use futures_util::{Stream, stream};
use http::Method;
use serde::Deserialize;

use super::{pages::Pages, repository::RepositoryApi};
use crate::{
    error::{Code, Error, Kind, Result, ServerCode},
    oci::{Descriptor, Digest, RefName, Tag},
    store::{Flaw, FlawKind, NamePage, compare},
    stores::registry::{auth::scope::Access, http::document::Document, origins::redact::excerpt},
};

#[derive(Deserialize)]
struct TagList {
    tags: Option<Vec<String>>,
}

/// A listing of tags that goes on, and the tags so far.
type Going<'a> = (Pages<'a>, HashSet<RefName>);

impl RepositoryApi {
    /// All tags of the repository, or those behind this one, page by page; empty if the registry does not know the repository, since registries
    /// say so even for one whose content has no tags.
    pub(in crate::stores::registry) fn list_tags(
        &self,
        last: Option<String>,
    ) -> impl Stream<Item = Result<NamePage>> + Send + '_ {
        let more = move |state| {
            let last = last.clone();
            async move { self.more_tags(state, last.as_deref()).await }
        };
        stream::try_unfold(None, more)
    }

    /// The next page of a listing that goes on, or the first one of a new listing, and where it goes on.
    async fn more_tags<'a>(
        &'a self,
        going: Option<Going<'a>>,
        last: Option<&str>,
    ) -> Result<Option<(NamePage, Option<Going<'a>>)>> {
        let (mut pages, mut known) = match going {
            None => match self.pages_of_tags(last).await? {
                None => return Ok(None),
                Some(pages) => (pages, HashSet::new()),
            },
            Some(going) => going,
        };
        let Some(document) = pages.next().await? else { return Ok(None) };
        let mut page = tags_of(&document)?;
        let before = known.len();
        page.names.retain(|name| known.insert(name.clone()));
        pages.count(known.len().saturating_sub(before), known.len())?;
        page.more = pages.go_on();
        Ok(Some((page, Some((pages, known)))))
    }

    async fn pages_of_tags(&self, last: Option<&str>) -> Result<Option<Pages<'_>>> {
        let (transport, list) = (&self.registry.transport, self.request(Method::GET, "tags/list")?.address);
        match Pages::first(transport, &self.scope(Access::Pull), list, last).await {
            Err(e) if e.kind() == Kind::NotFound && e.server_codes().contains(&ServerCode::NameUnknown) => Ok(None),
            first => Ok(Some(Pages::of(transport, self.pull_scope(), first?))),
        }
    }

    /// Points a tag at a stored manifest: reads it and stores it again under the tag.
    pub(super) async fn put_tag(&self, name: &RefName, desc: &Descriptor) -> Result<()> {
        if name.parse::<Tag>().is_err() {
            return Err(Error::invalid(format!("`{}` is not a tag", excerpt(name))));
        }
        let found = self.describe(&desc.digest.to_string()).await?;
        let bytes = self.manifest(&found).await?;
        compare(&desc.digest, Digest::with(desc.digest.algorithm(), &bytes))?;
        self.put_under(&found, &bytes, std::slice::from_ref(name)).await.map(drop)
    }

    /// Removes a tag, but not its manifest.
    pub(super) async fn remove_tag(&self, name: &str) -> Result<()> {
        if name.parse::<Tag>().is_err() {
            return Err(Error::invalid(format!("`{}` is not a tag", excerpt(name))));
        }
        let request = self.request(Method::DELETE, &format!("manifests/{name}"))?;
        let response = self.send(&request, Access::Delete).await?;
        match response.status.as_u16() {
            200 | 202 | 204 => Ok(()),
            // Responses of registries that delete by digest only; some answer the same for a tag that does not exist.
            400 | 405 | 501 => {
                self.describe(name).await?;
                let why = response.into_error().await;
                let code = why.code().filter(|code| *code == Code::MethodRefused).unwrap_or(Code::TagsNotRemovable);
                Err(Error::unsupported(format!("{} cannot remove single tags ({why})", self.registry)).with_code(code))
            }
            404 => Err(response.into_error().await.with_code(Code::NoSuchTag).with_name(name)),
            _ => Err(response.into_error().await),
        }
    }
}

/// The tags on a page.
fn tags_of(document: &Document) -> Result<NamePage> {
    let list: TagList = document.read()?;
    let mut page = NamePage::default();
    for text in list.tags.unwrap_or_default() {
        match text.parse::<Tag>() {
            Ok(tag) => page.names.push(tag.into()),
            Err(_) => page.unreadable.push(Flaw {
                kind: FlawKind::NotATag,
                place: document.what.clone(),
                message: format!("lists an invalid tag `{}`", document.excerpt(&text)),
            }),
        }
    }
    Ok(page)
}
