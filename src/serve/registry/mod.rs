//! From a request to its answer: guards first, then the one function that the path and the method name.

mod blobs;
pub(super) mod guard;
pub(crate) mod incoming;
mod listings;
mod manifests;
mod open_uploads;
pub(crate) mod reply;
mod route;
mod uploads;

use std::{fmt, sync::Arc};

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use self::{
    incoming::Incoming as Content,
    open_uploads::OpenUploads,
    reply::{Body, Code, Refusal, Reply},
    route::{Query, Route},
};
use super::{
    Options,
    content::verifier::Verifier,
    net::watch::{Activity, Entry},
};
use crate::{
    error::Kind,
    oci::RepositoryName,
    store::{ReadStore, Store},
};

/// What all connections share.
pub(crate) struct Registry {
    pub(crate) options: Options,
    pub(super) uploads: OpenUploads,
    pub(super) verifier: Verifier,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.fmt(f)
    }
}

impl Registry {
    pub(super) fn new(options: Options) -> Self {
        let uploads = OpenUploads::new(options.limits.sessions, options.limits.session);
        Self { options, uploads, verifier: Verifier::new() }
    }

    /// The response to a request, whatever it is.
    pub(crate) async fn answer(&self, request: Request<Incoming>, activity: Activity) -> Response<Body> {
        let entry = Entry::new(&request, self.options.log.clone(), activity.clone());
        let reply = match self.check(&request) {
            Ok(()) => self.dispatch(request, activity).await,
            Err(refusal) => Err(refusal),
        };
        reply.unwrap_or_else(Reply::from).respond(entry)
    }

    fn check<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        guard::check_host(request.headers(), &self.options.hosts)?;
        guard::check_origin(request.headers())?;
        if let Some(credentials) = &self.options.credentials {
            guard::check_credentials(request.headers(), credentials)?;
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if !reads && !self.options.writable {
            return Err(Refusal::method("GET, HEAD"));
        }
        Ok(())
    }

    async fn dispatch(&self, request: Request<Incoming>, activity: Activity) -> Result<Reply, Refusal> {
        let route = Route::of(request.uri().path())?;
        let query = Query::of(request.uri().query())?;
        let method = request.method().clone();
        let reads = matches!(method, Method::GET | Method::HEAD);
        let (parts, body) = request.into_parts();
        let content = Content::new(&parts.headers, body, self.options.limits.blob, activity)?;
        let content = content.until(parts.extensions.get().cloned());
        let headers = &parts.headers;
        match (route, &method) {
            (Route::Base, _) if reads => Reply::new(StatusCode::OK).json("application/json", &json!({})),
            (Route::Catalog, _) if reads => self.catalog(&query).await,
            (Route::Tags(name), _) if reads => self.tags(&name, &query).await,
            (Route::Referrers(name, digest), _) if reads => self.referrers(&name, digest, &query).await,
            (Route::Base | Route::Catalog | Route::Tags(_) | Route::Referrers(..), _) => {
                Err(Refusal::method("GET, HEAD"))
            }
            (Route::Blob(name, digest), &Method::HEAD) => self.head_blob(&name, &digest).await,
            (Route::Blob(name, digest), &Method::GET) => self.get_blob(&name, digest, headers).await,
            (Route::Blob(name, digest), &Method::DELETE) => self.delete_blob(&name, digest).await,
            (Route::Blob(..), _) => Err(Refusal::method("GET, HEAD, DELETE")),
            (Route::Manifest(name, what), &Method::HEAD) => self.head_manifest(&name, &what).await,
            (Route::Manifest(name, what), &Method::GET) => self.get_manifest(&name, &what).await,
            (Route::Manifest(name, what), &Method::PUT) => {
                self.put_manifest(&name, what, &query, headers, content).await
            }
            (Route::Manifest(name, what), &Method::DELETE) => self.delete_manifest(&name, what).await,
            (Route::Manifest(..), _) => Err(Refusal::method("GET, HEAD, PUT, DELETE")),
            (Route::Uploads(name), &Method::POST) => self.start_upload(&name, &query, content).await,
            (Route::Uploads(_), _) => Err(Refusal::method("POST")),
            (Route::Upload(name, id), &Method::PATCH) => self.continue_upload(&name, &id, content).await,
            (Route::Upload(name, id), &Method::PUT) => self.finish_upload(&name, &id, &query, content).await,
            (Route::Upload(name, id), &Method::GET) => self.upload_status(&name, &id),
            (Route::Upload(name, id), &Method::DELETE) => self.cancel_upload(&name, &id),
            (Route::Upload(..), _) => Err(Refusal::method("GET, PATCH, PUT, DELETE")),
        }
    }

    /// The repository of this name, to read from.
    pub(super) async fn repository(&self, name: &RepositoryName) -> Result<Arc<dyn ReadStore>, Refusal> {
        let unknown = || Refusal::new(Code::NameUnknown, "there is no such repository");
        let found = self.options.repositories.get(name).await.map_err(Refusal::reading(Code::NameUnknown))?;
        found.ok_or_else(unknown)
    }

    /// The repository of this name, to delete from: not made when there is none.
    pub(super) async fn existing(&self, name: &RepositoryName) -> Result<Arc<dyn Store>, Refusal> {
        self.repository(name).await?;
        self.writable(name).await
    }

    /// The repository of this name, to write to, made when there is none.
    pub(super) async fn writable(&self, name: &RepositoryName) -> Result<Arc<dyn Store>, Refusal> {
        self.options.repositories.create(name).await.map_err(|error| match error.kind() {
            Kind::Invalid | Kind::Exists => Refusal::new(Code::NameInvalid, "this name cannot be used here"),
            _ => error.into(),
        })
    }
}
