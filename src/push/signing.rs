//! Signatures that are pushed together with what they are of.

use std::{fmt, sync::Arc};

use crate::{
    copy,
    error::{Context as _, Result},
    oci::{Descriptor, Tag},
    sign::{self, Evidence, PrivateKey},
    store::{ReadStore, Store},
    stores::Memory,
};

/// A key, and how it signs.
#[derive(Clone)]
pub struct Signing {
    /// The key.
    pub key: Arc<PrivateKey>,
    /// How it signs.
    pub options: sign::Options,
}

impl Signing {
    /// A store with the signatures that a destination will have of an artifact that is on its way there: those that this
    /// key makes, and under the legacy tag also those that are there.
    pub(super) async fn signatures_for(
        &self,
        destination: &Arc<dyn Store>,
        root: &Descriptor,
    ) -> Result<Arc<dyn ReadStore>> {
        let made: Arc<dyn Store> = Arc::new(Memory::new());
        let there: Arc<dyn ReadStore> = Arc::clone(destination) as _;
        let evidence = Evidence::read(there.as_ref(), root).await;
        if let Some((desc, _)) = &evidence.legacy {
            let [tag, _, _] = Tag::companions_of(&root.digest);
            let options = copy::Options { names: vec![tag.into()], ..copy::Options::default() };
            copy::copy_root(&there, desc.clone(), &made, &options)
                .await
                .context(|| "read the signatures that are there")?;
        }
        let signed = sign::sign_beside(&made, evidence, &self.key, &self.options).await;
        signed.context(|| format!("sign {}", root.digest)).map(|_| made as _)
    }

    /// Signs once more what another signer, who wrote the legacy tag of a registry at the same time, took away.
    pub(super) async fn check(&self, destination: &Arc<dyn Store>, root: &Descriptor) -> Result<()> {
        if !destination.abilities().refuses_incomplete {
            return Ok(());
        }
        let options = sign::Options { again: false, ..self.options.clone() };
        let signed = sign::sign(destination, root, &self.key, &options).await;
        signed.context(|| format!("sign {}", root.digest)).map(drop)
    }
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing").field("key", self.key.public()).field("options", &self.options).finish()
    }
}
