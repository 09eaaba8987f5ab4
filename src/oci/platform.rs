//! The platform of a manifest in an index.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The platform of a manifest in an index (image-spec image-index.md).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub struct Platform {
    /// CPU architecture, as in Go's `GOARCH`.
    #[serde(default)]
    pub architecture: String,
    /// Operating system, as in Go's `GOOS`.
    #[serde(default)]
    pub os: String,
    /// Version of the operating system.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Required features of the operating system.
    #[serde(
        rename = "os.features",
        default,
        deserialize_with = "super::manifest::nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// Variant of the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl fmt::Display for Platform {
    /// `os/architecture[/variant]`, as Docker and oras write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|v| write!(f, "/{v}"))
    }
}

impl Platform {
    /// True if content for this platform satisfies a request for `wanted`; a request without a variant accepts any.
    #[must_use]
    pub fn satisfies(&self, wanted: &Self) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (wanted.variant.is_none() || self.variant == wanted.variant)
    }
}

impl FromStr for Platform {
    type Err = Error;

    /// Parses `os/architecture[/variant]`, each of letters, digits and `_.-` (containerd, `platforms.Parse`). Nothing
    /// is guessed or normalised.
    fn from_str(text: &str) -> Result<Self> {
        let word = |part: &&str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        };
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match *parts.as_slice() {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => ("", "", None),
        };
        if ![os, architecture].iter().chain(&variant).all(word) {
            return Err(Error::invalid("expected OS/ARCH or OS/ARCH/VARIANT, such as linux/arm64"));
        }
        let variant = variant.map(Into::into);
        Ok(Self { os: os.into(), architecture: architecture.into(), variant, ..Self::default() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_platform_has_two_or_three_parts() {
        let arm: Platform = "linux/arm/v7".parse().unwrap();
        assert_eq!((&*arm.os, &*arm.architecture, arm.variant.as_deref()), ("linux", "arm", Some("v7")));
        for bad in ["", "linux", "linux/", "/arm", "linux//arm", "linux/arm/", "linux/arm/v7/x", "li nux/arm", "*/*"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn who_asks_for_no_variant_takes_any() {
        let of = |text: &str| text.parse::<Platform>().unwrap();
        assert!(of("linux/arm/v7").satisfies(&of("linux/arm")) && of("linux/arm/v7").satisfies(&of("linux/arm/v7")));
        for wanted in ["linux/arm/v6", "linux/arm64", "windows/arm"] {
            assert!(!of("linux/arm/v7").satisfies(&of(wanted)), "{wanted}");
        }
        assert!(!of("linux/arm").satisfies(&of("linux/arm/v7")));
    }

    #[test]
    fn what_others_wrote_into_an_index_is_read_whatever_it_is() {
        let read: Platform = serde_json::from_str(r#"{"os":"","os.version":"10.0","os.features":null,"x":1}"#).unwrap();
        assert_eq!(read, Platform { os_version: Some("10.0".into()), ..Platform::default() });
    }

    proptest! {
        #[test]
        fn a_platform_reads_back(text in "[a-zA-Z0-9_.-]{1,8}/[a-zA-Z0-9_.-]{1,8}(/[a-zA-Z0-9_.-]{1,8})?") {
            prop_assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
    }
}
