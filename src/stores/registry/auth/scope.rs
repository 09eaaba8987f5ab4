//! Scopes of tokens (the `scope` of the token protocol).

/// The access that a token grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::stores::registry) enum Access {
    /// Reading.
    Pull,
    /// Reading and writing.
    Push,
    /// Removing.
    Delete,
    /// Listing the repositories of a registry, Docker's `registry:catalog:*`.
    List,
}

/// The scope of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stores::registry) struct Scope {
    /// The repository; empty for the registry itself.
    pub(in crate::stores::registry) repository: String,
    /// The access to it.
    pub(in crate::stores::registry) access: Access,
    /// A second repository to read from: the source of a mount.
    pub(in crate::stores::registry) from: Option<String>,
}

impl Scope {
    /// The registry itself.
    pub(in crate::stores::registry) fn registry() -> Self {
        Self { repository: String::new(), access: Access::Pull, from: None }
    }

    /// The list of all repositories.
    pub(in crate::stores::registry) fn catalog() -> Self {
        Self { access: Access::List, ..Self::registry() }
    }

    /// The scopes to request, in the grammar of the token protocol.
    pub(super) fn names(&self) -> Vec<String> {
        if self.repository.is_empty() {
            let all = (self.access == Access::List).then(|| "registry:catalog:*".to_owned());
            return all.into_iter().collect();
        }
        let actions = match self.access {
            Access::Pull | Access::List => "pull",
            Access::Push => "pull,push",
            Access::Delete => "delete,pull,push",
        };
        let own = format!("repository:{}:{actions}", self.repository);
        let other = self.from.as_ref().map(|from| format!("repository:{from}:pull"));
        std::iter::once(own).chain(other).collect()
    }

    /// The cache keys of suitable tokens, the exact one first.
    pub(super) fn keys(&self) -> Vec<String> {
        let mut keys = vec![self.names().join(" ")];
        if self.access == Access::Pull && self.from.is_none() && !self.repository.is_empty() {
            keys.push(Self { access: Access::Push, ..self.clone() }.names().join(" "));
        }
        keys
    }
}
