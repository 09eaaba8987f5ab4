//! A registry on a bad day, in this process and without a network: in a runtime whose clock is paused, no wait and no
//! timeout of either side takes any time.

use std::sync::Arc;

use artifact::{
    fault::{Faults, Seen},
    serve::{self, App, InMemory, Local, Repositories as _},
    store::Store,
    stores::registry::{Options, Registry, Repository},
};

/// The registry.
pub(crate) struct Faulty {
    pub(crate) faults: Arc<Faults>,
    repositories: Arc<InMemory>,
}

impl Faulty {
    /// With these faults.
    pub(crate) fn with(faults: Faults) -> Self {
        Self { faults: Arc::new(faults), repositories: Arc::new(InMemory::new()) }
    }

    /// With the faults of this list, in YAML.
    pub(crate) fn new(faults: &str) -> Self {
        Self::with(Faults::parse(&format!("faults: [{faults}]")).unwrap())
    }

    /// A client with these options.
    pub(crate) fn client(&self, options: &Options) -> Registry {
        client_of(self.faults.around(self.registry()), options)
    }

    /// Its repository `a`, for a client with these options.
    pub(crate) fn repository(&self, options: &Options) -> Repository {
        self.client(options).repository("a").unwrap()
    }

    /// The store behind it.
    pub(crate) async fn store(&self) -> Arc<dyn Store> {
        self.repositories.create(&"a".parse().unwrap()).await.unwrap()
    }

    /// The same repository on a good day.
    pub(crate) fn healthy(&self) -> Repository {
        client_of(self.registry(), &Options::default()).repository("a").unwrap()
    }

    /// The registry without its faults.
    fn registry(&self) -> serve::Registry {
        let repositories = Arc::clone(&self.repositories) as Arc<_>;
        serve::Registry::new(serve::Options { repositories, ..serve::Options::in_memory() })
    }

    /// The same on a loopback port, with these faults, for those who need a network: programs, and several at a time.
    pub(crate) async fn listen(&self, faults: &str) -> Listening {
        let faults = Arc::new(Faults::parse(&format!("faults: [{faults}]")).unwrap());
        Listening { running: super::server::serve(faults.around(self.registry())).await, faults }
    }

    /// All requests so far, those that were cut off included.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.faults.seen()
    }

    /// How many requests so far were of this pattern.
    pub(crate) fn count(&self, pattern: &str) -> usize {
        self.faults.count(pattern).unwrap()
    }

    /// A header of all requests so far.
    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        self.seen().iter().map(|seen| seen.header(name).to_owned()).collect()
    }
}

/// A client with these options that reaches this app.
fn client_of(app: impl App, options: &Options) -> Registry {
    let options = Options { dial: Some(Arc::new(Local::new(app))), ..options.clone() };
    Registry::new("localhost:5000", &options).unwrap()
}

/// A registry on a bad day that is reached through the network; gone with its handle.
pub(crate) struct Listening {
    faults: Arc<Faults>,
    running: serve::Running,
}

impl Listening {
    /// `127.0.0.1:PORT`
    pub(crate) fn host(&self) -> String {
        self.running.addr().to_string()
    }

    /// All requests so far, those that were cut off included.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.faults.seen()
    }

    /// The ranges that were asked for of what has this in its path; of all of it, an empty one.
    pub(crate) fn ranges(&self, path: &str) -> Vec<String> {
        let asked = self.seen().into_iter().filter(|seen| seen.method == "GET" && seen.uri.path().contains(path));
        asked.map(|seen| seen.header("range").to_owned()).collect()
    }
}
