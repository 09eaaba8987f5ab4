//! One repository of a registry: the requests behind its operations.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::Method;

use super::{registry::RegistryApi, upload::Uploads};
use crate::{
    error::{Facts, Result},
    oci::RepositoryName,
    stores::registry::{
        auth::scope::{Access, Scope},
        http::{request::Request, response::Response},
    },
};

/// The API of one repository; the other files of this folder add operations. A clone is another handle on the same
/// repository.
#[derive(Clone)]
pub(in crate::stores::registry) struct RepositoryApi {
    pub(super) registry: Arc<RegistryApi>,
    pub(in crate::stores::registry) name: RepositoryName,
    /// True once something is written: tokens for writing are then requested at once.
    writing: Arc<Mutex<bool>>,
    /// Open uploads.
    pub(super) uploads: Arc<Uploads>,
}

impl RepositoryApi {
    pub(in crate::stores::registry) fn new(registry: Arc<RegistryApi>, name: RepositoryName) -> Self {
        Self { registry, name, writing: Arc::default(), uploads: Arc::default() }
    }

    /// This repository, with its own set of uploads.
    pub(super) fn with_own_uploads(self) -> Self {
        Self { uploads: Arc::default(), ..self }
    }

    /// Announces a write.
    pub(in crate::stores::registry) fn intend_writing(&self) {
        *self.writing() = true;
    }

    /// True if a write was announced.
    pub(super) fn is_written_to(&self) -> bool {
        *self.writing()
    }

    /// Adds to a failure where it was.
    pub(in crate::stores::registry) fn located<T>(&self, result: Result<T>) -> Result<T> {
        let located = self.registry.located(result);
        located.map_err(|e| e.with_facts(Facts { repository: Some(self.to_string()), ..Facts::default() }))
    }

    fn writing(&self) -> MutexGuard<'_, bool> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request for something in this repository. `tail` must consist of parsed values only.
    pub(super) fn request(&self, method: Method, tail: &str) -> Result<Request<'static>> {
        let url = self.registry.origin().at(&format!("/v2/{}/{tail}", self.name))?;
        Ok(Request::new(method, url))
    }

    /// The scope of a token; once something is written, writing, so that one token serves all requests.
    pub(super) fn scope(&self, access: Access) -> Scope {
        let mut writing = self.writing();
        *writing |= access == Access::Push;
        let access = if *writing { access.max(Access::Push) } else { access };
        Scope { access, ..self.pull_scope() }
    }

    /// The scope of a token for reading only.
    pub(super) fn pull_scope(&self) -> Scope {
        Scope { repository: self.name.to_string(), access: Access::Pull, from: None }
    }

    /// Sends a request, with retries, and a token for this access.
    pub(super) async fn send(&self, request: &Request<'_>, access: Access) -> Result<Response> {
        self.registry.transport.send(request, &self.scope(access)).await
    }
}

impl fmt::Display for RepositoryApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.name)
    }
}
