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
        deserialize_with = "super::descriptor::nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// Variant of the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl fmt::Display for Platform {
    /// `os/architecture[/variant][:os.version]`, as Docker, oras and crane write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|v| write!(f, "/{v}"))?;
        self.os_version.iter().try_for_each(|v| write!(f, ":{v}"))
    }
}

/// How well content fits a requested platform; the greatest fits best. By the version of the variant, then by that of the
/// operating system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fit(i64, Vec<u64>);

impl Platform {
    /// How well content for this platform fits a request for `wanted`; `None` if it does not.
    ///
    /// By the rules of containerd's `platforms` package: names are normalised (`aarch64` is `arm64`, `arm64/v8` too, `arm`
    /// is `arm/v7`); content for an earlier variant fits, the latest best; Windows must have the same build, and the
    /// latest revision of it fits best. Besides, where no variant is asked for, content that needs one fits if there is no
    /// better, the earliest best.
    #[must_use]
    pub fn fit(&self, wanted: &Self) -> Option<Fit> {
        let (own, wanted) = (self.normalized(), wanted.normalized());
        if own.os != wanted.os || own.architecture != wanted.architecture {
            return None;
        }
        let variant = match (version_number(own.variant.as_deref()), version_number(wanted.variant.as_deref())) {
            _ if own.variant == wanted.variant => i64::MAX,
            (Some(own), Some(most)) if own <= most => own,
            (own, _) if wanted.variant.is_none() => own.map_or(i64::MIN, |own| -own),
            _ => return None,
        };
        let fits_system = wanted.os_version.as_deref().is_none_or(|asked| {
            let build = |text: &str| text.split('.').take(3).map(str::to_owned).collect::<Vec<_>>();
            own.os_version.as_deref().is_some_and(|own| build(own).starts_with(&build(asked)))
        });
        let numbers = own.os_version.as_deref().unwrap_or_default().split('.');
        fits_system.then(|| Fit(variant, numbers.map_while(|n| n.parse().ok()).collect()))
    }

    /// This platform in the names of Go and containerd.
    fn normalized(&self) -> Self {
        let lower = |text: &String| text.to_ascii_lowercase();
        let os = match &*lower(&self.os) {
            "macos" => "darwin".into(),
            os => os.to_owned(),
        };
        let variant = self.variant.as_ref().map(lower).filter(|variant| !variant.is_empty());
        let numbered = |variant: String| if variant.starts_with('v') { variant } else { format!("v{variant}") };
        let (architecture, variant) = match &*lower(&self.architecture) {
            "x86_64" | "x86-64" | "amd64" => ("amd64".into(), variant.map(numbered).filter(|variant| variant != "v1")),
            "aarch64" | "arm64" => ("arm64".into(), variant.map(numbered).filter(|variant| variant != "v8")),
            "i386" | "386" => ("386".into(), None),
            "armhf" => ("arm".into(), Some("v7".into())),
            "armel" => ("arm".into(), Some("v6".into())),
            "arm" => ("arm".into(), Some(variant.map_or_else(|| "v7".into(), numbered))),
            other => (other.to_owned(), variant),
        };
        Self { os, architecture, variant, ..self.clone() }
    }
}

/// The number in `v7`; 0 for no variant, `None` for one that is no number.
fn version_number(variant: Option<&str>) -> Option<i64> {
    variant.map_or(Some(0), |variant| variant.strip_prefix('v')?.parse::<u32>().ok().map(i64::from))
}

impl FromStr for Platform {
    type Err = Error;

    /// Parses `os/architecture[/variant][:os.version]`, each of letters, digits and `_.-`; crane writes the version so.
    fn from_str(text: &str) -> Result<Self> {
        let (text, version) = text.split_once(':').map_or((text, None), |(text, version)| (text, Some(version)));
        let word = |part: &&str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        };
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match *parts.as_slice() {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => ("", "", None),
        };
        if ![os, architecture].iter().chain(&variant).chain(&version).all(word) {
            return Err(Error::invalid(
                "expected OS/ARCH, OS/ARCH/VARIANT or OS/ARCH:VERSION, such as linux/arm64 or windows/amd64:10.0.20348",
            ));
        }
        let (variant, os_version) = (variant.map(Into::into), version.map(Into::into));
        Ok(Self { os: os.into(), architecture: architecture.into(), variant, os_version, ..Self::default() })
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
        for bad in [
            "",
            "linux",
            "linux/",
            "/arm",
            "linux//arm",
            "linux/arm/",
            "linux/arm/v7/x",
            "li nux/arm",
            "*/*",
            "a/b,c/d",
            "a/b:",
        ] {
            assert!(bad.parse::<Platform>().is_err(), "{bad:?}");
        }
    }

    /// The best of these platforms for a request.
    fn best<'a>(wanted: &str, there: &[&'a str]) -> Option<&'a str> {
        let wanted: Platform = wanted.parse().unwrap();
        let fits = there.iter().filter_map(|own| Some((own.parse::<Platform>().unwrap().fit(&wanted)?, *own)));
        fits.max_by_key(|(fit, _)| fit.clone()).map(|(_, own)| own)
    }

    #[test]
    fn a_platform_has_many_spellings() {
        for (wanted, own) in [
            ("linux/arm64", "linux/arm64/v8"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/aarch64", "linux/arm64"),
            ("Linux/ARM64", "linux/arm64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/amd64", "linux/x86-64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/arm/7", "linux/arm/v7"),
            ("linux/armhf", "linux/arm"),
            ("linux/i386", "linux/386"),
            ("macos/arm64", "darwin/arm64"),
            ("linux/riscv64", "linux/riscv64"),
        ] {
            assert_eq!(best(wanted, &[own]), Some(own), "{wanted}");
        }
        for (wanted, other) in
            [("linux/arm64", "linux/arm"), ("linux/amd64", "linux/386"), ("linux/arm", "windows/arm")]
        {
            assert_eq!(best(wanted, &[other]), None, "{wanted}");
        }
    }

    #[test]
    fn the_latest_variant_that_fits_is_the_best() {
        let arm = ["linux/arm/v5", "linux/arm/v7", "linux/arm/v6", "linux/arm/v8"];
        assert_eq!(best("linux/arm", &arm), Some("linux/arm/v7"));
        assert_eq!(best("linux/arm/v6", &arm), Some("linux/arm/v6"));
        assert_eq!(best("linux/arm/v6", &["linux/arm/v7"]), None);
        assert_eq!(
            best("linux/amd64/v3", &["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"]),
            Some("linux/amd64/v2")
        );
        let amd = ["linux/amd64/v3", "linux/amd64", "linux/amd64/v2"];
        assert_eq!(best("linux/amd64", &amd), Some("linux/amd64"), "what every processor runs");
        assert_eq!(best("linux/amd64", &[amd[0], amd[2]]), Some("linux/amd64/v2"));
        for odd in ["linux/riscv64/rva20u64", "linux/arm64/v8.2"] {
            assert_eq!(best(odd, &[odd, "linux/riscv64/other"]), Some(odd));
            assert_eq!(best(odd.rsplit_once('/').unwrap().0, &[odd]), Some(odd));
        }
        assert_eq!(best("linux/riscv64/rva22", &["linux/riscv64/rva20u64"]), None);
    }

    #[test]
    fn windows_is_told_apart_by_its_build() {
        let there = ["windows/amd64:10.0.17763.1", "windows/amd64:10.0.20348.9", "windows/amd64:10.0.20348.10"];
        assert_eq!(best("windows/amd64", &there), Some("windows/amd64:10.0.20348.10"));
        assert_eq!(best("windows/amd64:10.0.20348.1", &there), Some("windows/amd64:10.0.20348.10"));
        assert_eq!(best("windows/amd64:10.0.17763", &there), Some("windows/amd64:10.0.17763.1"));
        assert_eq!(best("windows/amd64:10.0.26100", &there), None);
    }

    #[test]
    fn what_others_wrote_into_an_index_is_read_whatever_it_is() {
        let read: Platform = serde_json::from_str(r#"{"os":"","os.version":"10.0","os.features":null,"x":1}"#).unwrap();
        assert_eq!(read, Platform { os_version: Some("10.0".into()), ..Platform::default() });
    }

    proptest! {
        #[test]
        fn a_platform_reads_back(text in "[a-zA-Z0-9_.-]{1,8}/[a-zA-Z0-9_.-]{1,8}(/[a-zA-Z0-9_.-]{1,8})?(:[0-9.]{1,9})?") {
            prop_assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
    }
}
