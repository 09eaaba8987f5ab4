//! What several commands have in common, as tables: `artifact help TOPIC` prints one.

use super::text::table;

/// A topic of the help.
pub(crate) struct Topic {
    pub(crate) name: &'static str,
    intro: &'static str,
    rows: &'static [[&'static str; 2]],
}

impl Topic {
    pub(crate) fn text(&self) -> String {
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        format!("{}\n\n{}\n", self.intro, table(&rows).join("\n"))
    }
}

pub(crate) const TOPICS: &[Topic] = &[
    Topic {
        name: "locations",
        intro: "Where an artifact is. A tag is optional, and so is a digest, which counts more.",
        rows: &[
            ["host[:port]/repository[:tag][@digest]", "a registry; `[::1]:5000/…` by its address"],
            ["oci://host/repository…, docker://host/…", "the same"],
            ["oci:DIRECTORY[:name][@digest]", "an OCI image layout; `./dir`, `../dir` and `/dir` are one, too"],
            [
                "oci-archive:FILE[:name][@digest]",
                "a layout in one tar file; so are paths that end in `.tar`, `.tar.gz`, `.tgz`, `.tar.zst`",
            ],
            ["…:^1.2, …:~1.2.3, …:'>=1 <2', …:1.x", "where an artifact is read: the newest version in the range"],
            ["…@sha256:1a2b3c4d", "eight digits of a digest are enough in a layout or archive"],
            ["", ""],
            ["A name in a layout may be a whole reference:", "oci:bundle:ghcr.io/org/app:v1"],
        ],
    },
    Topic {
        name: "json",
        intro: "With `--format json`, stdout is one document. These keys mean the same in all of them. Messages on stderr are\nobjects with `event` and `message`, one a line; an error has `code`, `message`, `facts` and `hint`.\n\
                `--template TEXT` prints what a template makes of the document: `{{ digest }}`, `{{ tags | join(',') }}`,\n\
                `{% for layer in layers %}{{ layer.title }} {% endfor %}`. A key that is not there is an error; null is nothing.",
        rows: JSON,
    },
    Topic {
        name: "exit-codes",
        intro: "How a command ended. Of several artifacts, the first of 3, 6, 5, 4, 1 that occurred counts.",
        rows: &[
            ["0", "it happened, or there was nothing to do"],
            ["1", "it failed: network, disk, a source that its type refuses, content that is missing"],
            ["2", "the command line, or a file that is named as configuration, is wrong"],
            ["3", "something was checked and is not what it should be: a digest, a size, a finding of `check`"],
            ["4", "what was named is not there: a tag, a digest, a repository, a file, a platform"],
            ["5", "a registry refused for good: credentials, rights, a tag that may not be moved, a quota"],
            ["6", "unsigned: no signature, or no attestation of the type that `verify` asks for"],
            ["70", "a fault of this program"],
            ["128 + n", "it was stopped by signal n"],
        ],
    },
    Topic {
        name: "environment",
        intro: "Variables that count. Empty ones do not.",
        rows: &[
            ["DOCKER_CONFIG", "directory of Docker's `config.json` [~/.docker]"],
            ["REGISTRY_AUTH_FILE", "credentials file; before all others"],
            ["DOCKER_AUTH_CONFIG", "credentials, as the content of such a file"],
            ["XDG_RUNTIME_DIR", "directory of Podman's `containers/auth.json`"],
            ["XDG_CONFIG_HOME", "directory of `artifact/hosts.yaml` and `artifact/types` [~/.config]"],
            ["CONTAINERS_REGISTRIES_CONF, REGISTRIES_CONFIG_PATH", "Podman's `registries.conf`"],
            ["HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY", "proxies, and hosts without one; also in small letters"],
            ["COSIGN_PASSWORD", "password of a key that signs"],
            ["COSIGN_REPOSITORY", "where signatures are kept, if it is another repository"],
            ["SSL_CERT_FILE, SSL_CERT_DIR", "certificates of authorities instead of the system's"],
            ["TMPDIR", "directory for what is packed, for compressed archives and for stdin [/tmp]"],
            ["SOURCE_DATE_EPOCH", "the time that a type may write into an artifact, in seconds since 1970"],
            ["PATH", "programs that are types (`artifact-type-NAME`) or keep credentials"],
            ["RUST_LOG", "what `--debug` and `--log` show"],
            ["TERM, NO_COLOR", "`dumb`: no progress bars; any value of NO_COLOR: no colours"],
        ],
    },
];

/// The keys of documents, and what they mean.
pub(crate) const JSON: &[[&str; 2]] = &[
    ["command", "the command that wrote this"],
    ["reference", "`repository@digest`, which always stands for the same artifact"],
    ["location", "the artifact, or the store, as it was given or decided"],
    ["tags", "names that stand for it; of `ls`, all in the store; of `delete`, those that went"],
    ["digest, mediaType, size", "of the manifest or index"],
    ["platform, annotations", "of the manifest or index"],
    ["artifactType", "of the manifest, else the media type of its config"],
    ["totalSize", "bytes of all its content, each blob once"],
    ["type, form, why", "our type, the form of its source, and what decided that"],
    ["config, layers, children", "descriptors; a layer has its `role` and `title`"],
    ["subject, referrers", "what it is about, and what is about it"],
    ["companions", "what cosign keeps about it under tags"],
    ["predicateType, repeated", "`tree`: of a sigstore bundle, not verified; true: what is below it is elsewhere"],
    ["names", "of each name: `name`, `location`, `from`, `to`, `outcome`: new, moved, same, or set"],
    ["moved, present, mounted", "`items` and `bytes` that moved, were there, or came from another repository"],
    ["resumed, retried, seconds", "bytes of earlier transfers, retries, time"],
    ["indexes", "indexes of which some members were left out"],
    ["notes, warnings", "what a person should know"],
    ["dryRun", "true: this is what would happen"],
    ["failed", "of several artifacts, those that failed: `location`, `code`, `message`, `facts`, `hint`"],
    ["artifacts", "several documents of this shape"],
    ["files, directories, links, bytes", "how many were written"],
    ["destination", "the directory that they were written to"],
    ["from, kept", "`annotate`: the digest before, and what stays with it"],
    ["related, left", "`delete`: referrers that went along, and those that stay"],
    ["untagged", "artifacts without a tag"],
    ["registry, repositories", "a registry, and its repositories"],
    ["findings", "of each: `severity`, `place`, `message`; of `check`, also a `code`"],
    ["types", "of each: `name`, `description`, `origin`"],
    ["origin, definition", "where a type comes from, and what it says"],
    ["about", "what a program that is a type says of itself"],
    ["partial, leftOut", "indexes of which some members are not there, and which these are"],
    ["tests", "of each: `type`, `name`, `failure`"],
    ["verdict", "of `verify`: verified, rejected, unsigned or undecided"],
    ["signatures", "of each: `format`, `location`; of `verify`, also `signer`, `annotations`, `checked`, `notChecked`"],
    ["rejected", "what is no signature that counts: `location`, and `why`"],
    ["private, public, fingerprint", "the files of a pair of keys, and the SHA-256 of the public one"],
    ["publicKey", "a public key, as PEM"],
    ["bundle", "the sigstore bundle of a file"],
    ["file", "the file that was written, or signed"],
    ["version", "of this program"],
];
