//! Facts about particular registries, as data.

/// Docker Hub's names: in references, in credential files, and the host of its API.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// The key of Docker Hub's credentials as `docker login` writes it.
pub(in crate::stores::registry) const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// Page size of listings: Amazon ECR refuses more, Docker Hub's default is a tenth.
pub(in crate::stores::registry) const PAGE: usize = 1000;

/// Registries, including all names below them, that accept no large PATCH: GitHub's limit is 4 MiB, Google's accept
/// none at all.
const PATCHLESS: [&str; 3] = ["ghcr.io", "gcr.io", "pkg.dev"];

/// Domains with names of unrelated customers below them, at any depth, that the public suffix list does not separate:
/// it lacks the domain, or ignores regions and services between the domain and a customer's name.
const SHARED_BY_STRANGERS: [&str; 20] = [
    "amazonaws.com",
    "azure.com",
    "azurecontainerapps.io",
    "azurecr.io",
    "azureedge.net",
    "azurefd.net",
    "azurewebsites.net",
    "b-cdn.net",
    "backblazeb2.com",
    "cloudapp.net",
    "fastly.net",
    "github.dev",
    "gitpod.io",
    "googleapis.com",
    "googleusercontent.com",
    "nip.io",
    "pkg.dev",
    "sslip.io",
    "traefik.me",
    "windows.net",
];

/// True for one of Docker Hub's names.
pub(in crate::stores::registry) fn is_docker_hub(registry: &str) -> bool {
    DOCKER_HUB.contains(&registry.strip_suffix(":443").unwrap_or(registry).to_ascii_lowercase().as_str())
}

/// True if this registry accepts no large PATCH.
pub(in crate::stores::registry) fn is_patchless(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host).to_ascii_lowercase();
    PATCHLESS.iter().any(|name| is_within(&host, name))
}

/// The `host[:port]` of this registry's API.
pub(in crate::stores::registry) fn api_host(registry: &str) -> &str {
    if is_docker_hub(registry) { "registry-1.docker.io" } else { registry }
}

/// True if this lower-case name is, or is below, a domain shared by unrelated owners.
pub(super) fn is_shared_by_strangers(name: &str) -> bool {
    SHARED_BY_STRANGERS.iter().any(|shared| is_within(name, shared))
}

/// True if a name is this domain or below it.
fn is_within(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_without_patch_is_known_by_its_name_and_what_is_below_it() {
        for registry in ["ghcr.io", "GHCR.io:443", "eu.gcr.io", "europe-docker.pkg.dev"] {
            assert!(is_patchless(registry), "{registry}");
        }
        for registry in ["notghcr.io", "ghcr.io.example.com", "localhost:5000", "pkg.dev.example"] {
            assert!(!is_patchless(registry), "{registry}");
        }
    }
}
