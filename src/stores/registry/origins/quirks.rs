//! What is known about particular registries and must be written down somewhere: here, as data.

/// Docker Hub's names: in references, in credential files, and the host that serves its API.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// The key under which `docker login` keeps Docker Hub's credentials.
pub(in crate::stores::registry) const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// How many entries of a listing are asked for at a time: Amazon ECR refuses more, Docker Hub's default is a tenth.
pub(in crate::stores::registry) const PAGE: usize = 1000;

/// Registries that take no large PATCH, with all names below these: GitHub's ends at 4 MiB, Google's have none at all.
const PATCHLESS: [&str; 3] = ["ghcr.io", "gcr.io", "pkg.dev"];

/// Domains whose owners let strangers have names below them at any depth, where the public suffix list does not tell the
/// strangers apart: it lacks them, or knows no regions and services between the domain and a customer's name.
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

/// Whether this is one of Docker Hub's names.
pub(in crate::stores::registry) fn is_docker_hub(registry: &str) -> bool {
    DOCKER_HUB.contains(&registry.strip_suffix(":443").unwrap_or(registry).to_ascii_lowercase().as_str())
}

/// Whether this registry takes no large PATCH.
pub(in crate::stores::registry) fn is_patchless(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host).to_ascii_lowercase();
    PATCHLESS.iter().any(|name| is_within(&host, name))
}

/// The `host[:port]` that serves this registry's API.
pub(in crate::stores::registry) fn api_host(registry: &str) -> &str {
    if is_docker_hub(registry) { "registry-1.docker.io" } else { registry }
}

/// Whether this name in lower case is, or is below, one whose names belong to different owners, however deep.
pub(super) fn is_shared_by_strangers(name: &str) -> bool {
    SHARED_BY_STRANGERS.iter().any(|shared| is_within(name, shared))
}

/// Whether a name is this domain or below it.
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
