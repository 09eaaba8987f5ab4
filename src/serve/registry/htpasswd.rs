//! Users from an htpasswd file of Apache, with passwords hashed by bcrypt.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Semaphore, time::timeout};

use super::turns::Turns;
use crate::{
    error::{Error, Kind, Result},
    oci::Digest,
};

/// The prefixes of bcrypt; they differ in bugs of old programs only.
const PREFIXES: [&str; 3] = ["$2y$", "$2b$", "$2a$"];
/// Largest cost: about two seconds a password.
const MAX_COST: u32 = 15;
/// Longest password, in bytes: bcrypt looks at no more, so that any longer one with the same beginning would be right.
const MAX_PASSWORD: usize = 72;
/// Limit of passwords that are hashed at a time.
const PARALLEL: usize = 2;
/// Limit of passwords that are known to be right.
const KNOWN: usize = 1000;
/// Longest wait of a password for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Users and hashed passwords. A password that was right is not hashed again.
#[derive(Clone)]
pub struct Htpasswd(Arc<Shared>);

struct Shared {
    users: BTreeMap<String, String>,
    /// A hash to compare with where there is no such user. Of the highest cost: what is refused takes that long.
    hash_of_nobody: String,
    /// A secret of this process.
    key: [u8; 32],
    /// Digests of users and passwords that are right, with the key.
    known: Mutex<HashSet<Digest>>,
    hashing: Arc<Semaphore>,
    /// One password of each client at a time, so that one client that guesses does not keep others waiting.
    turns: Turns<Option<IpAddr>>,
}

impl fmt::Debug for Htpasswd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Htpasswd({} users)", self.0.users.len())
    }
}

impl Htpasswd {
    /// Reads the text of an htpasswd file: `user:hash` lines; empty lines and those that start with `#` do not count.
    ///
    /// Errors: kind `Invalid`, with the number of the line: a hash that is not bcrypt, or takes too long; a user twice;
    /// no user at all.
    pub fn parse(text: &str) -> Result<Self> {
        let mut users = BTreeMap::new();
        for (number, line) in text.lines().enumerate().map(|(at, line)| (at.saturating_add(1), line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (user, hash) = entry(line).map_err(|why| Error::invalid(format!("line {number}: {why}")))?;
            if users.insert(user.to_owned(), hash.to_owned()).is_some() {
                return Err(Error::invalid(format!("line {number}: the user `{user}` has another line before")));
            }
        }
        let Some(hash_of_nobody) = users.values().max_by_key(|hash| cost(hash)).cloned() else {
            return Err(Error::invalid("there is no user in it; `htpasswd -nB USER` prints a line for one"));
        };
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|e| Error::caused(Kind::Io, "cannot get random numbers", e))?;
        let (known, turns) = (Mutex::default(), Turns::new());
        let hashing = Arc::new(Semaphore::new(PARALLEL));
        Ok(Self(Arc::new(Shared { users, hash_of_nobody, key, known, hashing, turns })))
    }

    /// Whether `user:password` is right; `None` if there are too many to look at.
    pub(super) async fn check(&self, given: &[u8], client: Option<IpAddr>) -> Option<bool> {
        let digest = Digest::of(&[&self.0.key, given].concat());
        if self.0.known().contains(&digest) {
            return Some(true);
        }
        let right = timeout(PATIENCE, self.hash(given, client)).await.ok()?;
        if right {
            let mut known = self.0.known();
            if known.len() >= KNOWN {
                known.clear();
            }
            known.insert(digest);
        }
        Some(right)
    }

    /// Hashes the password, in turn.
    async fn hash(&self, given: &[u8], client: Option<IpAddr>) -> bool {
        let own = self.0.turns.take(client).await;
        // Never closed.
        let one = Arc::clone(&self.0.hashing).acquire_owned().await;
        let split = given.iter().position(|byte| *byte == b':').and_then(|at| given.split_at_checked(at));
        let (user, password) = split.unwrap_or((given, b":"));
        let hash = std::str::from_utf8(user).ok().and_then(|user| self.0.users.get(user)).cloned();
        let (exists, hash) = (hash.is_some(), hash.unwrap_or_else(|| self.0.hash_of_nobody.clone()));
        let password = password.get(1..).unwrap_or_default().to_vec();
        let highest = cost(&self.0.hash_of_nobody);
        let right = tokio::task::spawn_blocking(move || {
            // Until the thread is done, even if the client no longer waits for it.
            let _turns = (own, one);
            let right = bcrypt::verify(&password, &hash).unwrap_or(false) && password.len() <= MAX_PASSWORD;
            if !right {
                spend(&password, cost(&hash), highest);
            }
            right
        });
        // Without a thread for it, nobody comes in.
        right.await.unwrap_or(false) && exists
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The user and the hash of a line, or why it cannot be used.
fn entry(line: &str) -> std::result::Result<(&str, &str), String> {
    let (user, hash) = line.split_once(':').ok_or("expected `user:hash`")?;
    if user.is_empty() {
        return Err("the user name is missing".into());
    }
    let sort = match hash {
        _ if PREFIXES.iter().any(|prefix| hash.starts_with(prefix)) => None,
        _ if hash.starts_with("$apr1$") || hash.starts_with("$1$") => Some("MD5"),
        _ if hash.starts_with("{SHA}") => Some("SHA-1"),
        _ if hash.starts_with("$5$") || hash.starts_with("$6$") => Some("SHA-2 crypt"),
        _ => Some("neither bcrypt nor any other hash that is known"),
    };
    if let Some(sort) = sort {
        return Err(format!(
            "the password of `{user}` is {sort}; only bcrypt is accepted: make the line with `htpasswd -nB {user}`"
        ));
    }
    match cost(hash) {
        Some(cost) if cost <= MAX_COST => Ok((user, hash)),
        Some(cost) => Err(format!("the hash of `{user}` has cost {cost}; more than {MAX_COST} takes too long")),
        None => Err(format!("the hash of `{user}` is damaged; `htpasswd -nB {user}` makes a new line")),
    }
}

/// Takes the time that is missing from a hash of one cost to one of another: each step up is twice the work, so the
/// steps between add up to it. Users whose hashes have a lower cost are not told by the time.
fn spend(password: &[u8], from: Option<u32>, to: Option<u32>) {
    let (Some(from), Some(to)) = (from, to) else { return };
    for cost in from..to {
        std::hint::black_box(bcrypt::hash_with_salt(password, cost, [0; 16]).is_ok());
    }
}

/// The cost of a hash; `None` if it is malformed.
fn cost(hash: &str) -> Option<u32> {
    hash.parse::<bcrypt::HashParts>().ok().map(|parts| parts.get_cost())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of an htpasswd file, at the lowest cost.
    fn line(user: &str, password: &str) -> String {
        format!(
            "{user}:{}",
            bcrypt::hash_with_salt(password, 4, [7; 16]).unwrap().format_for_version(bcrypt::Version::TwoY)
        )
    }

    #[tokio::test]
    async fn right_passwords_are_known_and_wrong_ones_are_not() {
        let text = format!("# users\n\n{}\n{}\n", line("ann", "secret:1"), line("bob", "other"));
        let users = Htpasswd::parse(&text).unwrap();
        let check = async |given: &str| users.check(given.as_bytes(), None).await.unwrap();
        for _ in 0..2 {
            assert!(check("ann:secret:1").await && check("bob:other").await);
            for bad in ["ann:secret", "ann:other", "bob:", "carl:other", "ann", "", ":"] {
                assert!(!check(bad).await, "{bad}");
            }
        }
        assert_eq!(users.0.known().len(), 2);
        assert_eq!(format!("{users:?}"), "Htpasswd(2 users)");
    }

    #[tokio::test]
    async fn a_password_longer_than_what_is_hashed_is_never_right() {
        let longest = "p".repeat(MAX_PASSWORD);
        let users = Htpasswd::parse(&line("ann", &longest)).unwrap();
        assert_eq!(users.check(format!("ann:{longest}").as_bytes(), None).await, Some(true));
        assert_eq!(users.check(format!("ann:{longest}x").as_bytes(), None).await, Some(false));
    }

    #[test]
    fn a_client_that_goes_away_keeps_its_turn_until_its_password_is_hashed() {
        let users = Htpasswd::parse(&line("ann", "secret")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(1).build();
        runtime.unwrap().block_on(async {
            // The only thread is taken, so that no hash begins.
            let (release, released) = std::sync::mpsc::channel::<()>();
            tokio::task::spawn_blocking(move || released.recv());
            let client = Some(IpAddr::from([10, 0, 0, 1]));
            for _ in 0..10 {
                let users = users.clone();
                let request = tokio::spawn(async move { users.check(b"ann:wrong", client).await });
                tokio::task::yield_now().await;
                request.abort();
                assert!(request.await.is_err());
            }
            assert_eq!(users.0.hashing.available_permits(), PARALLEL - 1);
            assert!(futures_util::poll!(Box::pin(users.0.turns.take(client))).is_pending());
            drop(release);
            assert_eq!(users.check(b"ann:secret", client).await, Some(true));
            assert_eq!(users.0.hashing.available_permits(), PARALLEL);
        });
    }

    #[tokio::test]
    async fn hashes_of_different_costs_are_all_looked_at() {
        let costly = bcrypt::hash_with_salt("other", 6, [7; 16]).unwrap().format_for_version(bcrypt::Version::TwoY);
        let users = Htpasswd::parse(&format!("{}\nbob:{costly}", line("ann", "secret"))).unwrap();
        assert_eq!(cost(&users.0.hash_of_nobody), Some(6));
        for (given, right) in [("ann:secret", true), ("ann:other", false), ("bob:other", true), ("carl:other", false)] {
            assert_eq!(users.check(given.as_bytes(), None).await, Some(right), "{given}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_says_where_and_why() {
        let good = line("ann", "x");
        for (text, expected) in [
            ("".to_owned(), "no user"),
            (format!("{good}\nbob"), "line 2: expected `user:hash`"),
            (format!("{good}\n{good}"), "line 2: the user `ann` has another line"),
            ("bob:$apr1$x$y".into(), "line 1: the password of `bob` is MD5; only bcrypt"),
            ("bob:{SHA}x=".into(), "is SHA-1"),
            ("bob:$6$x$y".into(), "is SHA-2 crypt"),
            ("bob:secret".into(), "neither bcrypt nor any other"),
            (":x".into(), "the user name is missing"),
            ("bob:$2y$04$tooshort".into(), "damaged"),
            (good.replace("$04$", "$31$"), "cost 31"),
        ] {
            let error = Htpasswd::parse(&text).unwrap_err();
            assert!(error.kind() == Kind::Invalid && error.to_string().contains(expected), "{text}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
