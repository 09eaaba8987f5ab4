//! What is known about particular registries and must be written down somewhere: here, as data.

/// Docker Hub's names: in references, in credential files, and the host that serves its API.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// The key under which `docker login` keeps Docker Hub's credentials.
pub(super) const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// How many entries of a listing are asked for at a time: Amazon ECR refuses more, Docker Hub's default is a tenth.
pub(super) const PAGE: usize = 1000;

/// Suffixes under which strangers register names side by side, beyond the two-letter country rule below.
const SHARED_SUFFIXES: [&str; 22] = [
    "amazonaws.com",
    "appspot.com",
    "azurecr.io",
    "azurewebsites.net",
    "cloudapp.net",
    "cloudfront.net",
    "eu.org",
    "fly.dev",
    "github.io",
    "gitlab.io",
    "googleapis.com",
    "herokuapp.com",
    "netlify.app",
    "ngrok.io",
    "nip.io",
    "onrender.com",
    "pages.dev",
    "pkg.dev",
    "run.app",
    "sslip.io",
    "vercel.app",
    "workers.dev",
];

/// Second-level labels that many country domains register under.
const SECOND_LEVEL: [&str; 11] = ["ac", "co", "com", "edu", "go", "gob", "gov", "mil", "ne", "net", "org"];

/// Whether this is one of Docker Hub's names.
pub(super) fn is_docker_hub(registry: &str) -> bool {
    DOCKER_HUB.contains(&registry.strip_suffix(":443").unwrap_or(registry).to_ascii_lowercase().as_str())
}

/// The `host[:port]` that serves this registry's API.
pub(super) fn api_host(registry: &str) -> &str {
    if is_docker_hub(registry) { "registry-1.docker.io" } else { registry }
}

/// Whether names below these two labels belong to different owners.
pub(super) fn is_shared_suffix(last_two: &str) -> bool {
    if SHARED_SUFFIXES.contains(&last_two) {
        return true;
    }
    last_two.split_once('.').is_some_and(|(second, top)| top.len() == 2 && SECOND_LEVEL.contains(&second))
}
