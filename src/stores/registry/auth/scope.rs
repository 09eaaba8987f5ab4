//! What a token must allow (the `scope` of the token protocol).

/// What may be done with a token.
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

/// What a request needs a token for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stores::registry) struct Scope {
    /// The repository; empty for the registry as such.
    pub(in crate::stores::registry) repository: String,
    /// What is done to it.
    pub(in crate::stores::registry) access: Access,
    /// A second repository that is read: the source of a mount.
    pub(in crate::stores::registry) from: Option<String>,
}

impl Scope {
    /// The registry as such.
    pub(in crate::stores::registry) fn registry() -> Self {
        Self { repository: String::new(), access: Access::Pull, from: None }
    }

    /// The list of all repositories.
    pub(in crate::stores::registry) fn catalog() -> Self {
        Self { access: Access::List, ..Self::registry() }
    }

    /// The scopes to ask for, in the token protocol's grammar.
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

    /// The cache keys whose tokens would do, the exact one first.
    pub(super) fn keys(&self) -> Vec<String> {
        let mut keys = vec![self.names().join(" ")];
        if self.access == Access::Pull && self.from.is_none() && !self.repository.is_empty() {
            keys.push(Self { access: Access::Push, ..self.clone() }.names().join(" "));
        }
        keys
    }
}
