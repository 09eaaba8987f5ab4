//! The examples in the help of each command. A test runs all of them.

/// By command, with the subcommand if there is one: command lines, of which some have a comment above.
///
/// `registry.example` is a registry, `talk` a directory with a `slides.yaml`, `chart` one with a Chart.yaml.
pub(crate) const EXAMPLES: &[(&str, &str)] = &[
    (
        "push",
        "artifact push talk/slides.yaml registry.example/talks/oci:v1
artifact push chart registry.example/charts
artifact push report.txt sbom.spdx.json:application/spdx+json oci:layout:v1,latest
artifact push - oci:layout:notes --name notes.txt < report.txt
artifact push report.txt oci:layout:report --template '{{ reference }}'",
    ),
    (
        "pull",
        "artifact pull registry.example/talks/oci:v1 talk-layout
artifact pull registry.example/talks/oci:v1 talk-files --unpack
artifact pull registry.example/talks/oci:v1 talk.tar
artifact pull registry.example/charts/web:^1.0 web-chart",
    ),
    (
        "plan",
        "artifact plan talk/slides.yaml
artifact plan chart registry.example/charts --format json",
    ),
    (
        "copy",
        "artifact copy registry.example/talks/oci:v1 oci:talks
artifact copy registry.example/charts/web:1.x oci:charts
artifact copy --all-tags registry.example/talks/oci oci-archive:talks.tar
artifact copy --repositories registry.example/talks oci:everything",
    ),
    (
        "attach",
        "artifact attach registry.example/talks/oci:v1 sbom.spdx.json --artifact-type application/spdx+json
artifact attach oci:talk-layout:v1 report.txt",
    ),
    (
        "inspect",
        "artifact inspect registry.example/talks/oci:v1
artifact inspect oci:talk-layout --format json
artifact inspect oci:talk-layout --template '{% for l in layers %}{{ l.title }} {% endfor %}'",
    ),
    (
        "tree",
        "artifact tree registry.example/talks/oci:v1
artifact tree registry.example/talks/oci:v1 --artifact-type application/spdx+json --format json",
    ),
    (
        "ls",
        "artifact ls registry.example
artifact ls registry.example/talks/oci
artifact ls --long registry.example/talks/oci --sort date --reverse --limit 10
artifact ls registry.example/charts/web --filter '1.*' --sort version",
    ),
    ("tag", "artifact tag registry.example/talks/oci:v1 stable 1.0"),
    (
        "delete",
        "artifact delete registry.example/talks/oci:stable
artifact delete registry.example/charts/web --keep 5 --dry-run
artifact delete registry.example/talks/oci --filter '1.*' --yes",
    ),
    (
        "cat",
        "artifact cat registry.example/talks/oci:v1 --pretty
artifact cat registry.example/talks/oci:v1 config
artifact cat registry.example/talks/oci:v1 1.png -o 1.png",
    ),
    (
        "resolve",
        "artifact resolve registry.example/talks/oci:v1
artifact resolve --full-reference registry.example/talks/oci:v1 oci:talk-layout
artifact resolve registry.example/charts/web:~1.0.0",
    ),
    ("manifest get", "artifact manifest get registry.example/talks/oci:v1 -o manifest.json"),
    ("manifest push", "artifact manifest push registry.example/talks/oci:v2 manifest.json"),
    ("blob get", "artifact blob get oci:talk-layout@sha256:44136fa3"),
    ("blob push", "artifact blob push registry.example/talks/oci report.txt"),
    (
        "annotate",
        "artifact annotate registry.example/talks/oci:v1 org.opencontainers.image.version=1.0
artifact annotate registry.example/talks/oci:v1 org.opencontainers.image.version-",
    ),
    (
        "keygen",
        "artifact keygen
artifact keygen release
artifact keygen --public release.key > copy.pub",
    ),
    (
        "sign",
        "artifact sign registry.example/talks/oci:v1 --key release.key
artifact sign oci:talk-layout --key release.key -a team=docs
artifact sign --file report.txt --key release.key",
    ),
    ("attest", "artifact attest oci:talk-layout --key release.key --predicate sbom.spdx.json --type spdxjson"),
    (
        "verify",
        "artifact verify registry.example/talks/oci:v1 --key release.pub
artifact verify oci:talk-layout --key release.pub --type spdxjson --predicate-output sbom.json
artifact verify oci:talk-layout --key release.pub --key cosign.pub -a team=docs
artifact verify --file report.txt --key release.pub",
    ),
    ("types list", "artifact types list"),
    (
        "types show",
        "artifact types show file-bundle
artifact types show slideshow --raw > mine.yaml",
    ),
    (
        "types new",
        "artifact types new recipe
artifact types new recipe - > recipe.yaml",
    ),
    (
        "types lint",
        "artifact types lint
artifact types lint artifact-types/recipe.yaml",
    ),
    ("types test", "artifact types test recipe"),
    ("types schema", "artifact types schema\nartifact types schema --plan"),
    (
        "check",
        "artifact check oci:talk-layout
artifact check registry.example/talks/oci",
    ),
    (
        "serve",
        "artifact serve talk-layout
artifact serve --writable registry --listen 127.0.0.1:5000",
    ),
    ("login", "artifact login registry.example -u ann"),
    ("logout", "artifact logout registry.example"),
    ("tour", "artifact tour"),
    ("completions", "artifact completions bash > artifact.bash"),
    ("help", "artifact help push\nartifact help exit-codes"),
];

/// The examples of a command, as a part of its help.
pub(super) fn of(command: &str) -> Option<String> {
    let (_, lines) = EXAMPLES.iter().find(|(name, _)| *name == command)?;
    let lines: Vec<String> = lines.lines().map(|line| format!("  {line}")).collect();
    Some(format!("Examples:\n{}", lines.join("\n")))
}
