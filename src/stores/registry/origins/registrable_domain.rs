//! Domain ownership, as far as names show it.

use url::Host;

use super::quirks;

/// True if two hosts of URLs are names on one registrable domain.
pub(super) fn same_registrable_domain(a: &str, b: &str) -> bool {
    match (Host::parse(a), Host::parse(b)) {
        (Ok(Host::Domain(a)), Ok(Host::Domain(b))) => {
            registrable(&a).is_some_and(|domain| registrable(&b) == Some(domain))
        }
        _ => false,
    }
}

/// The registrable domain of a lower-case name: its public suffix and one more label, by the public suffix list with
/// its private section, which separates customers of one cloud. `None` for a suffix itself or a single label; for a
/// name with an empty label, including a trailing dot; and for a domain shared by unrelated owners.
fn registrable(name: &str) -> Option<&str> {
    if quirks::is_shared_by_strangers(name) || name.split('.').any(str::is_empty) {
        return None;
    }
    psl::domain_str(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrable_domain_is_one_label_more_than_a_public_suffix() {
        for (name, domain) in [
            ("registry.example.com", Some("example.com")),
            ("example.com", Some("example.com")),
            ("a.registry.corp.co.uk", Some("corp.co.uk")),
            ("corp.co.uk", Some("corp.co.uk")),
            ("registry.corp.or.jp", Some("corp.or.jp")),
            ("r.b.kawasaki.jp", Some("r.b.kawasaki.jp")),
            ("r.city.kawasaki.jp", Some("city.kawasaki.jp")),
            ("r.corp.xn--55qx5d.cn", Some("corp.xn--55qx5d.cn")),
            // One customer of a cloud, with what is below.
            ("r.me.github.io", Some("me.github.io")),
            ("me.github.io", Some("me.github.io")),
            ("r.me.uk.com", Some("me.uk.com")),
            ("blobs.s3.example.com", Some("example.com")),
            // A suffix of nobody is its last label.
            ("registry.corp.test", Some("corp.test")),
            ("registry.corp", Some("registry.corp")),
            // Suffixes, which nobody has.
            ("com", None),
            ("co.uk", None),
            ("github.io", None),
            ("b.kawasaki.jp", None),
            ("localhost", None),
            // Names that are not quite names.
            ("example.com.", None),
            ("registry.example.com.", None),
            ("registry..example.com", None),
            (".com", None),
            ("", None),
        ] {
            assert_eq!(registrable(name), domain, "{name}");
        }
    }

    #[test]
    fn strangers_below_one_domain_have_no_site_in_common() {
        for name in [
            "1.dkr.ecr.us-east-1.amazonaws.com",
            "a.s3.amazonaws.com",
            "me.azurecr.io",
            "azurecr.io",
            "a.z01.azurefd.net",
            "a.westeurope.cloudapp.azure.com",
            "a.table.core.windows.net",
            "bucket.storage.googleapis.com",
            "europe-docker.pkg.dev",
            "a.10.0.0.1.nip.io",
        ] {
            assert_eq!(registrable(name), None, "{name}");
        }
        for name in ["notazurecr.io", "azurecr.io.example.com"] {
            assert!(registrable(name).is_some(), "{name}");
        }
    }

    #[test]
    fn only_names_have_a_site() {
        let same = same_registrable_domain;
        assert!(same("registry.example.com", "AUTH.Example.COM"));
        assert!(same("registry.公司.cn", "auth.registry.xn--55qx5d.cn"));
        for (a, b) in [
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1", "11.0.0.1"),
            ("[fd00::1]", "[fd00::1]"),
            ("localhost", "localhost"),
            ("registry", "registry"),
            ("registry.example.com.", "auth.example.com."),
            ("registry.example.com", "auth.example.com."),
            ("a.co.uk", "b.co.uk"),
            ("a.github.io", "b.github.io"),
            ("a.uk.com", "b.uk.com"),
        ] {
            assert!(!same(a, b), "{a} {b}");
        }
    }
}
