//! Replaces the registry client in builds without the feature `registry`: locations in registries are refused.

use std::sync::Arc;

use super::Context;
use crate::{
    error::{Error, Result},
    store::{ReadStore, Store},
};

impl Context {
    pub(super) fn read_repository(&self, registry: &str, repository: &str) -> Result<Arc<dyn ReadStore>> {
        Err(absent(registry, repository))
    }

    pub(super) fn write_repository(&self, registry: &str, repository: &str) -> Result<Arc<dyn Store>> {
        Err(absent(registry, repository))
    }
}

fn absent(registry: &str, repository: &str) -> Error {
    Error::unsupported(format!("cannot open {registry}/{repository}: this build has no registry client"))
}

#[cfg(test)]
mod tests {
    use crate::{Context, Kind, location::open};

    #[tokio::test]
    async fn a_location_in_a_registry_is_refused_and_one_on_this_machine_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let context = Context::new(dir.path());
        let error = open("registry.example/team/site:v1", &context).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().starts_with("cannot open registry.example/team/site: "), "{error}");
        let layout = format!("oci:{}", dir.path().join("none").display());
        assert_eq!(open(&layout, &context).await.unwrap_err().kind(), Kind::NotFound);
    }
}
