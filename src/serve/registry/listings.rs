//! Lists of repositories, tags and referrers.

use http::{StatusCode, header};
use serde_json::json;

use super::{
    Registry,
    reply::{Refusal, Reply},
    route::Query,
};
use crate::{
    error::ServerCode,
    oci::{Descriptor, Digest, Index, RepositoryName, Tag, media_type},
    store::{FlawKind, NamePage},
};

impl Registry {
    /// Lists all repositories in pages: Docker's `_catalog`, which is not in the specification.
    pub(super) async fn catalog(&self, query: &Query) -> Result<Reply, Refusal> {
        let names = self.options.repositories.names().await.map_err(Refusal::reading(ServerCode::NameUnknown))?;
        let page = Page::of(names.iter().map(ToString::to_string).collect(), query)?;
        page.reply("/v2/_catalog", query, &json!({"repositories": page.items}))
    }

    /// Lists the tags of a repository in pages (distribution-spec, "Listing Tags").
    pub(super) async fn tags(&self, name: &RepositoryName, query: &Query) -> Result<Reply, Refusal> {
        let store = self.repository(name).await?;
        let NamePage { names, unreadable, .. } =
            store.list_names().await.map_err(Refusal::reading(ServerCode::NameUnknown))?;
        // Clients would take an incomplete list for complete.
        if let Some(flaw) = unreadable.iter().find(|flaw| flaw.kind == FlawKind::Unreadable) {
            let message = format!("cannot list all tags: {}: {}", flaw.place, flaw.message);
            return Err(Refusal::new(ServerCode::Unknown, message).status(500));
        }
        // A layout can have names that clients cannot request.
        let tags = names.into_iter().filter(|name| name.parse::<Tag>().is_ok());
        let page = Page::of(tags.map(String::from).collect(), query)?;
        page.reply(&format!("/v2/{name}/tags/list"), query, &json!({"name": name.as_str(), "tags": page.items}))
    }

    /// Lists the manifests with this subject (distribution-spec, "Listing Referrers"). Never 404, which would mean that
    /// the registry lacks the API.
    pub(super) async fn referrers(
        &self,
        name: &RepositoryName,
        subject: Digest,
        query: &Query,
    ) -> Result<Reply, Refusal> {
        let subject = Descriptor::new(media_type::OCTET_STREAM, subject, 0);
        let failed = Refusal::reading(ServerCode::NameUnknown);
        let mut found =
            match self.options.repositories.get(name).await.map_err(Refusal::reading(ServerCode::NameUnknown))? {
                Some(store) => store.referrers(&subject).await.map_err(failed)?,
                None => Vec::new(),
            };
        let mut reply = Reply::new(StatusCode::OK);
        if let Some(wanted) = query.get("artifactType") {
            found.retain(|desc| desc.artifact_type.as_deref() == Some(wanted));
            reply = reply.header(http::HeaderName::from_static("oci-filters-applied"), "artifactType");
        }
        reply.json(media_type::INDEX, &Index::of(found))
    }
}

/// A page of a sorted list, and whether there are more.
struct Page {
    items: Vec<String>,
    more: bool,
}

impl Page {
    /// The items after `last`, at most `n`.
    fn of(mut all: Vec<String>, query: &Query) -> Result<Self, Refusal> {
        all.sort_unstable();
        if let Some(last) = query.get("last") {
            all.retain(|item| item.as_str() > last);
        }
        let limit = query.limit()?.unwrap_or(usize::MAX);
        let more = limit > 0 && all.len() > limit;
        all.truncate(limit);
        Ok(Self { items: all, more })
    }

    fn reply(&self, path: &str, query: &Query, document: &serde_json::Value) -> Result<Reply, Refusal> {
        let reply = Reply::new(StatusCode::OK).json("application/json", document)?;
        let Some(last) = self.items.last().filter(|_| self.more) else { return Ok(reply) };
        // Names and tags contain no characters that need escaping in URLs.
        let n = query.limit()?.unwrap_or_default();
        Ok(reply.header(header::LINK, format_args!("<{path}?n={n}&last={last}>; rel=\"next\"")))
    }
}
