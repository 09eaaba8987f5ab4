//! Which names belong to one owner, as far as names tell.

use url::Host;

use super::{origin::Origin, quirks};

/// Whether two origins are on the same registrable domain.
pub(super) fn same_registrable_domain(a: &Origin, b: &Origin) -> bool {
    match (a.parsed(), b.parsed()) {
        (Some(Host::Domain(a)), Some(Host::Domain(b))) => {
            registrable(&a).is_some_and(|domain| registrable(&b) == Some(domain))
        }
        _ => false,
    }
}

/// The registrable domain of a name, approximately: its last two labels, three where the last two are a suffix under
/// which everybody registers (`co.uk`). None where the last two belong to one who lets strangers have names below them,
/// however deep (`github.io`, `s3.us-east-1.amazonaws.com`). The public suffix list would be exact, and is as large as
/// the rest of this program's data together.
fn registrable(name: &str) -> Option<&str> {
    let labels = |n: usize| {
        let (cut, _) = name.rmatch_indices('.').nth(n)?;
        name.get(cut + 1..)
    };
    let last_two = labels(1).or_else(|| name.contains('.').then_some(name))?;
    if quirks::is_shared_by_strangers(last_two) || name.split('.').any(str::is_empty) {
        return None;
    }
    if !quirks::is_national_suffix(last_two) {
        return Some(last_two);
    }
    labels(2).or_else(|| (name.matches('.').count() == 2).then_some(name))
}
