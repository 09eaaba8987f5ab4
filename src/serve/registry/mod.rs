//! The distribution API, from a request to its answer: access control, then the function for the path and method.
//!
//! It depends on requests, repositories and their content. Connections and their number are elsewhere.

pub(super) mod access;
mod blob_writer;
mod blobs;
mod budget;
mod guard;
pub(super) mod htpasswd;
mod listings;
mod manifests;
pub(super) mod options;
mod quota;
mod receiving;
mod referrers;
mod reply;
mod request_body;
mod route;
mod shared_work;
mod turns;
mod upload_requests;
mod uploads;

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Once},
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Method, Request, Response, StatusCode, request::Parts};
use serde_json::json;
use tokio::time::timeout;

use self::{
    budget::Budget,
    listings::Lists,
    options::Options,
    quota::Quota,
    reply::{Refusal, Reply},
    request_body::RequestBody,
    route::{Query, Route},
    uploads::Uploads,
};
use super::{
    app::{App, Body, Client},
    content::verifier::Verifier,
    limits::Limits,
    log::Log,
};
use crate::{
    blob::ByteStream,
    error::{Kind, ServerCode},
    oci::RepositoryName,
    store::{ReadStore, Store},
};

/// Time limit for writes of requests that were cut off, when the server stops.
const CLOSING: Duration = Duration::from_millis(200);

/// A registry, for a [`Server`](super::Server).
pub struct Registry {
    options: Options,
    uploads: Arc<Uploads>,
    verifier: Verifier,
    budget: Arc<Budget>,
    quota: Arc<Quota>,
    lists: Lists,
    cleaning: Once,
    /// Read while a request writes to a store.
    working: Arc<tokio::sync::RwLock<()>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.fmt(f)
    }
}

impl App for Registry {
    fn answer(&self, request: Request<ByteStream>) -> BoxFuture<'_, Response<Body>> {
        Box::pin(async {
            let (head, body) = request.into_parts();
            let reply = match self.check(&head).await {
                Ok(()) => self.dispatch(&head, body).await,
                Err(refusal) => Err(refusal),
            };
            reply.unwrap_or_else(Reply::from).into()
        })
    }

    fn limits(&self) -> &Limits {
        &self.options.limits
    }

    fn log(&self) -> Option<&Log> {
        self.options.log.as_ref()
    }

    fn expire(&self) {
        self.uploads.expire();
        if self.options.writable {
            self.cleaning.call_once(|| self.clean());
        }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.uploads.clear();
            // Requests that were cut off remove their unfinished files.
            let _ = timeout(CLOSING, self.working.write()).await;
        })
    }
}

impl Registry {
    /// A registry with these options.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let limits = &options.limits;
        Self {
            uploads: Arc::new(Uploads::new(limits.uploads, limits.upload)),
            verifier: Verifier::new(),
            budget: Arc::new(Budget::new()),
            quota: Quota::new(limits.quota, Arc::clone(&options.repositories)),
            lists: Lists::new(),
            cleaning: Once::new(),
            working: Arc::default(),
            options,
        }
    }

    /// Removes what an earlier server left that was killed.
    fn clean(&self) {
        let repositories = Arc::clone(&self.options.repositories);
        tokio::spawn(async move {
            // What cannot be removed now is in nobody's way; the next write to its repository tries again.
            let _ = repositories.clean().await;
        });
    }

    /// Access control, before the path matters.
    async fn check(&self, head: &Parts) -> Result<(), Refusal> {
        guard::check_host(&head.headers, &self.options.hosts)?;
        guard::check_origin(&head.headers)?;
        self.options.access.check(&head.headers, client_of(head)).await?;
        let reads = matches!(head.method, Method::GET | Method::HEAD);
        if !reads && !self.options.writable {
            return Err(Refusal::method("GET, HEAD"));
        }
        Ok(())
    }

    /// Each answer is boxed, so that a connection takes the memory of its own and not of the largest.
    async fn dispatch(&self, head: &Parts, body: ByteStream) -> Result<Reply, Refusal> {
        let route = Route::of(head.uri.path())?;
        let query = Query::of(head.uri.query())?;
        let (method, headers) = (&head.method, &head.headers);
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let content = RequestBody::new(headers, body, self.options.limits.blob)?;
        match (route, method) {
            (Route::Base, _) if reads => Reply::new(StatusCode::OK).json("application/json", &json!({})),
            (Route::Catalog, _) if reads => self.catalog(&query).await,
            (Route::Tags(name), _) if reads => self.tags(&name, &query).await,
            (Route::Referrers(name, digest), _) if reads => self.referrers(&name, digest, &query).boxed().await,
            (Route::Base | Route::Catalog | Route::Tags(_) | Route::Referrers(..), _) => {
                Err(Refusal::method("GET, HEAD"))
            }
            (Route::Blob(name, digest), &Method::HEAD) => self.head_blob(&name, &digest).await,
            (Route::Blob(name, digest), &Method::GET) => self.get_blob(&name, digest, headers).boxed().await,
            (Route::Blob(name, digest), &Method::DELETE) => self.delete_blob(&name, digest).await,
            (Route::Blob(..), _) => Err(Refusal::method("GET, HEAD, DELETE")),
            (Route::Manifest(name, what), &Method::HEAD) => self.head_manifest(&name, &what).await,
            (Route::Manifest(name, what), &Method::GET) => self.get_manifest(&name, &what).boxed().await,
            (Route::Manifest(name, what), &Method::PUT) => {
                self.put_manifest(&name, what, &query, headers, content).boxed().await
            }
            (Route::Manifest(name, what), &Method::DELETE) => self.delete_manifest(&name, what).boxed().await,
            (Route::Manifest(..), _) => Err(Refusal::method("GET, HEAD, PUT, DELETE")),
            (Route::Uploads(name), &Method::POST) => {
                self.start_upload(&name, &query, client_of(head), content).boxed().await
            }
            (Route::Uploads(_), _) => Err(Refusal::method("POST")),
            (Route::Upload(name, id), &Method::PATCH) => self.continue_upload(&name, &id, content).boxed().await,
            (Route::Upload(name, id), &Method::PUT) => self.finish_upload(&name, &id, &query, content).boxed().await,
            (Route::Upload(name, id), &Method::GET) => self.upload_status(&name, &id),
            (Route::Upload(name, id), &Method::DELETE) => self.cancel_upload(&name, &id),
            (Route::Upload(..), _) => Err(Refusal::method("GET, PATCH, PUT, DELETE")),
        }
    }

    /// The repository with this name, for reading.
    async fn repository(&self, name: &RepositoryName) -> Result<Arc<dyn ReadStore>, Refusal> {
        let unknown = || Refusal::new(ServerCode::NameUnknown, "the repository does not exist");
        let found = self.options.repositories.get(name).await.map_err(Refusal::reading(ServerCode::NameUnknown))?;
        found.ok_or_else(unknown)
    }

    /// The repository with this name, for deletion; must exist.
    async fn existing(&self, name: &RepositoryName) -> Result<Arc<dyn Store>, Refusal> {
        self.repository(name).await?;
        self.writable(name).await
    }

    /// The repository with this name, for writing; created if missing.
    async fn writable(&self, name: &RepositoryName) -> Result<Arc<dyn Store>, Refusal> {
        self.options.repositories.create(name).await.map_err(|error| match error.kind() {
            Kind::Invalid | Kind::Exists => {
                Refusal::new(ServerCode::NameInvalid, "this registry cannot use the repository name")
            }
            _ => error.into(),
        })
    }
}

/// The client of a request, for what each of them may have.
fn client_of(head: &Parts) -> Option<IpAddr> {
    head.extensions.get::<Client>().and_then(|client| client.0).map(network)
}

/// Whom an address stands for: one client often has all addresses of an IPv6 network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_address_or_a_whole_network_of_ipv6() {
        let client = |text: &str| {
            let mut head = Request::new(()).into_parts().0;
            head.extensions.insert(Client(Some(text.parse().unwrap())));
            client_of(&head)
        };
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("10.0.0.1"), client("::ffff:10.0.0.1"));
        assert_ne!(client("10.0.0.1"), client("10.0.0.2"));
    }
}
