//! Names of registries.

use std::{net::Ipv6Addr, str::FromStr};

use super::text::checked_text;
use crate::error::{Error, Result};

/// Longest host, in bytes (RFC 1123, section 2.1).
const MAX: usize = 255;

/// The name of a registry: `host` or `host:port`. A host has labels of ASCII letters, digits and inner hyphens (RFC
/// 1123, section 2.1), and also of underscores, which private networks use; or it is an IPv6 address in brackets (RFC
/// 3986, section 3.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegistryName(Box<str>);

checked_text!(RegistryName);

impl RegistryName {
    /// `docker.io`, the name of Docker Hub, though its API is elsewhere.
    pub(super) fn docker_hub() -> Self {
        Self("docker.io".into())
    }

    /// True if the first part of a name is a registry, and not part of a repository: it has a dot or a colon, or is
    /// `localhost` (distribution/reference, `splitDockerDomain`).
    #[must_use]
    pub fn is_meant_by(first: &str) -> bool {
        first == "localhost" || first.contains(['.', ':'])
    }
}

impl FromStr for RegistryName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (host, port) = match text.rsplit_once(':') {
            // The colons of an address are inside the brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        if is_host(host) && port.is_none_or(is_port) {
            return Ok(Self(text.into()));
        }
        Err(Error::invalid(format!("`{text}` is not `host` or `host:port`")))
    }
}

fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.len() <= MAX && host.split('.').all(label),
    }
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_registry_is_a_host_and_a_port() {
        for good in [
            "ghcr.io",
            "localhost:5000",
            "a_b.c:0",
            "GHCR.io",
            "registry",
            "127.0.0.1:65535",
            "[::1]",
            "[::1]:5000",
            "[2001:db8::a]:443",
        ] {
            assert_eq!(good.parse::<RegistryName>().unwrap(), good);
        }
        for bad in [
            "",
            ":5000",
            "a:",
            "a:x",
            "a:+1",
            "a:65536",
            "a:1:2",
            "::1",
            "[::1",
            "[::1]x",
            "[::1].evil",
            "[fe80::1%25eth0]",
            "[a.b]",
            "a..b",
            "a.",
            "-a.b",
            "a-.b",
            "a/b",
            "u@a",
            "a b",
            "ä.b",
            &"a".repeat(256),
        ] {
            assert!(bad.parse::<RegistryName>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn addresses_are_hosts(v4: std::net::Ipv4Addr, v6: Ipv6Addr, port: u16) {
            for text in [format!("{v4}"), format!("[{v6}]"), format!("{v4}:{port}"), format!("[{v6}]:{port}")] {
                prop_assert_eq!(text.parse::<RegistryName>().unwrap().to_string(), text);
            }
        }
    }
}
