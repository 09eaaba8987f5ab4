//! What users of other tools type: the command line that does here what they mean.

use std::path::Path;

use artifact::{
    location::{Location, Place, ReadLocation},
    oci::{RegistryName, media_type, without_userinfo},
    push::SourceFile,
    stores::registry::Hosts,
};

use super::{help, push};

/// The line to use instead, for a command line that was refused; `None` if it is not one of these. `over_http`: it was
/// refused because the registry has no https.
///
/// The arguments are without the program's name. No secret is repeated: the value of `-p` is left out, and there is no line
/// where a password may stand in front of a host. A line that would be refused, too, is no advice.
pub(super) fn advice(arguments: &[String], over_http: bool) -> Option<String> {
    if arguments.iter().any(|word| without_userinfo(word) != *word) {
        return None;
    }
    let ours = if is_ours(arguments) { arguments.to_vec() } else { Line::read(arguments).words() };
    let ours = if over_http { with_http(&ours) } else { ours };
    let (command, rest) = ours.split_first()?;
    let meant = match command.as_str() {
        "push" => as_push(rest),
        "tag" => as_tag(rest),
        _ => None,
    };
    let meant = meant.unwrap_or_else(|| ours.clone());
    (meant != arguments && is_ours(&meant)).then(|| line(&meant))
}

/// Whether a command line can be parsed.
fn is_ours(words: &[String]) -> bool {
    let words = ["artifact"].into_iter().chain(words.iter().map(String::as_str));
    match help::command().try_get_matches_from(words) {
        Ok(matches) => matches.subcommand_matches("push").is_none_or(|push| {
            let words: Vec<String> = push.get_many("words").into_iter().flatten().cloned().collect();
            push::are_complete(&words)
        }),
        Err(error) => !error.use_stderr(),
    }
}

fn line(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("artifact {}", words.join(" "))
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=+,~%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Commands of oras, crane, skopeo, Helm, regctl and cosign, and what does the same here.
const COMMANDS: [(&str, &str); 33] = [
    ("artifact get", "pull"),
    ("artifact put", "push"),
    ("artifact tree", "tree"),
    ("blob fetch", "blob get"),
    ("catalog", "ls"),
    ("discover", "tree"),
    ("fetch", "pull"),
    ("generate-key-pair", "keygen"),
    ("image copy", "copy"),
    ("image digest", "resolve"),
    ("image inspect", "inspect"),
    ("image manifest", "manifest get"),
    ("import-key-pair", "keygen --import"),
    ("list-tags", "ls"),
    ("manifest delete", "delete"),
    ("manifest digest", "resolve"),
    ("manifest fetch", "manifest get"),
    ("manifest head", "resolve"),
    ("manifest put", "manifest push"),
    ("public-key", "keygen --public"),
    ("registry login", "login"),
    ("registry logout", "logout"),
    ("repo ls", "ls"),
    ("repo tags", "ls"),
    ("sign-blob", "sign --file"),
    ("tag delete", "delete"),
    ("tag list", "ls"),
    ("tag ls", "ls"),
    ("tag rm", "delete"),
    ("untag", "delete"),
    ("validate", "check"),
    ("verify-attestation", "verify --type custom"),
    ("verify-blob", "verify --file"),
];

/// Options of other tools, and what does the same here; an option without an equivalent is done anyway.
const OPTIONS: [(&str, &str, &str); 17] = [
    // Command, option, ours.
    ("", "-d", "--debug"),
    ("", "-k", "--insecure"),
    ("", "--tls-verify=false", "--insecure"),
    ("", "--json", "--format=json"),
    ("copy", "--src-tls-verify=false", "--from-insecure"),
    ("copy", "--dest-tls-verify=false", "--to-insecure"),
    ("copy", "-r", ""),
    ("copy", "--recursive", ""),
    ("copy", "--all", ""),
    ("copy", "-a", ""),
    ("delete", "-f", "--yes"),
    ("delete", "--force", "--yes"),
    ("delete", "-y", "--yes"),
    ("keygen", "--key", ""),
    ("keygen", "--output-key-prefix", ""),
    ("keygen", "-y", ""),
    ("pull", "--untar", "--unpack=tree"),
];

/// A command line of another tool, while it becomes one of ours.
#[derive(Default)]
struct Line {
    command: Vec<String>,
    words: Vec<String>,
    /// What goes to the end.
    last: Vec<String>,
    /// Which of the locations, in their order, are layouts.
    layouts: Vec<usize>,
    /// The version of a chart, which is a tag here.
    version: Option<String>,
}

impl Line {
    fn read(words: &[String]) -> Self {
        let own = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let known = COMMANDS.iter().find(|(theirs, _)| words.starts_with(&own(theirs)));
        let (command, mut rest) = match (known, words) {
            (Some((theirs, ours)), _) => (own(ours), words.get(own(theirs).len()..).unwrap_or_default()),
            // As crane does it.
            (None, [noun, location, ..]) if matches!(noun.as_str(), "manifest" | "blob") && is_remote(location) => {
                (vec![noun.clone(), "get".to_owned()], words.get(1..).unwrap_or_default())
            }
            (None, [command, rest @ ..]) => {
                (vec![if command == "cp" { "copy".to_owned() } else { command.clone() }], rest)
            }
            (None, []) => (Vec::new(), words),
        };
        let mut line = Self { command, ..Self::default() };
        while let Some((word, after)) = rest.split_first() {
            let used = line.take(word, after.first());
            rest = after.get(used..).unwrap_or_default();
        }
        line
    }

    fn is(&self, command: &str) -> bool {
        self.command.first().is_some_and(|own| own == command)
    }

    /// Takes a word, and perhaps the next one as its value: how many it took beside the first.
    fn take(&mut self, word: &str, next: Option<&String>) -> usize {
        let fits =
            |(command, theirs, _): &&(&str, &str, &str)| *theirs == word && (command.is_empty() || self.is(command));
        let (option, value) = word.split_once('=').map_or((word, None), |(option, value)| (option, Some(value)));
        let following = usize::from(value.is_none());
        let value = value.or(next.map(String::as_str)).unwrap_or_default();
        match option {
            "-p" | "--password" => self.last.push("--password-stdin".to_owned()),
            "--creds" | "--src-creds" | "--dest-creds" => self.credentials(option, value),
            "-d" | "--destination" | "--untardir" | "-o" | "--output"
                if self.is("pull") && !value.is_empty() && !value.starts_with('-') && !is_remote(value) =>
            {
                self.words.push(value.to_owned());
                self.unpacks();
            }
            "--unpack" if matches!(value, "native" | "tree") => self.words.push(format!("--unpack={value}")),
            "--version" if self.is("pull") => self.version = Some(value.replace('+', "_")),
            "--format" if value.starts_with("{{") => {
                self.words.extend(["--template".to_owned(), value.replace("{{.", "{{ ").replace("}}", " }}")]);
            }
            // Of oras, before its own `--template`.
            "--format" if !matches!(value, "json" | "text") => {}
            // Of `oras discover`: a tree is what is shown.
            "-o" | "--output" if self.is("tree") && value == "tree" => {}
            "-o" | "--output" if value == "json" => self.words.push("--format=json".to_owned()),
            _ => {
                match OPTIONS.iter().find(fits) {
                    Some((_, _, "")) => {}
                    Some((_, "--untar", _)) => self.unpacks_as_tree(),
                    Some((.., ours)) => self.words.push((*ours).to_owned()),
                    None if matches!(word, "--oci-layout" | "--from-oci-layout") => self.layouts.push(0),
                    None if word == "--to-oci-layout" => self.layouts.push(1),
                    None => self.words.push(word.to_owned()),
                }
                return 0;
            }
        }
        following
    }

    /// `--creds USER:PASSWORD` of skopeo.
    fn credentials(&mut self, option: &str, value: &str) {
        let side = match option {
            "--src-creds" => "from-",
            "--dest-creds" => "to-",
            _ => "",
        };
        let user = value.split_once(':').map_or(value, |(user, _)| user);
        self.words.extend([format!("--{side}username"), user.to_owned()]);
        self.last.push(format!("--{side}password-stdin"));
    }

    fn unpacks(&mut self) {
        if !self.words.iter().chain(&self.last).any(|word| word.starts_with("--unpack")) {
            self.last.push("--unpack".to_owned());
        }
    }

    fn unpacks_as_tree(&mut self) {
        self.last.retain(|word| word != "--unpack");
        self.words.push("--unpack=tree".to_owned());
    }

    fn words(mut self) -> Vec<String> {
        match self.command.last().map(String::as_str) {
            // The file comes last.
            Some("--file") => {
                let file = self.command.split_off(self.command.len().saturating_sub(1));
                let at = self.words.len().saturating_sub(1);
                self.words.splice(at..at, file);
            }
            Some("custom") if self.words.iter().any(|word| word.starts_with("--type")) => self.command.truncate(1),
            _ => {}
        }
        let is_place = |word: &&mut String| !word.starts_with('-');
        for at in &self.layouts {
            if let Some(place) = self.words.iter_mut().filter(is_place).nth(*at) {
                *place = format!("oci:{place}");
            }
        }
        if let Some(version) = &self.version
            && let Some(place) = self.words.iter_mut().find(|word| is_remote(word))
        {
            place.push_str(&format!(":{version}"));
        }
        let is_user = |word: &String| word.starts_with("-u") || word.starts_with("--username");
        if self.last.iter().any(|word| word == "--password-stdin") && !self.words.iter().any(is_user) {
            // A password needs a name.
            self.words.extend(["-u", "USER"].map(str::to_owned));
        }
        [self.command, self.words, self.last].concat()
    }
}

/// A line that had to do with a registry over http.
fn with_http(words: &[String]) -> Vec<String> {
    let http = |word: &String| match word.as_str() {
        "--insecure" | "--insecure-skip-tls-verify" => "--plain-http".to_owned(),
        "--from-insecure" => "--from-plain-http".to_owned(),
        "--to-insecure" => "--to-plain-http".to_owned(),
        _ => word.clone(),
    };
    words.iter().map(http).collect()
}

/// Whether a word is a location in a registry, and nothing on this disk.
fn is_remote(word: &str) -> bool {
    let bare = ["oci://", "docker://"].into_iter().find_map(|scheme| word.strip_prefix(scheme)).unwrap_or(word);
    let registry = bare.split('/').next().is_some_and(RegistryName::is_meant_by);
    bare.contains('/') && registry && !Path::new(word).exists() && word.parse::<ReadLocation>().is_ok()
}

/// `push LOCATION FILE…` of oras, `--config FILE[:TYPE]` of oras, a `+` in a tag as in Helm's versions; sources alone.
fn as_push(rest: &[String]) -> Option<Vec<String>> {
    let command = |rest: &[String]| [&["push".to_owned()], rest].concat();
    if let Some(turned) = config_blob(rest) {
        return Some(command(&turned));
    }
    let is_source = |word: &String| word.parse::<SourceFile>().is_ok_and(|source| source.path.exists());
    let is_first = |at: &usize| !rest.iter().take(*at).any(is_source) && rest.iter().skip(at + 1).any(is_source);
    if let Some(at) = rest.iter().position(|word| is_remote(word)).filter(is_first) {
        let mut turned = rest.to_vec();
        let location = turned.remove(at);
        turned.push(location);
        return Some(command(&turned));
    }
    let (last, before) = rest.split_last()?;
    let (place, name) = last.rsplit_once(':').filter(|(_, name)| name.contains('+') && !name.contains('/'))?;
    let fixed = format!("{place}:{}", name.replace('+', "_"));
    fixed.parse::<Location>().ok()?;
    Some(command(&[before, &[fixed]].concat()))
}

/// `--config FILE:TYPE` as it is called here, and `--config FILE` if the file configures no hosts.
fn config_blob(rest: &[String]) -> Option<Vec<String>> {
    let is_config = |word: &String| word == "--config" || word.starts_with("--config=");
    let at = rest.iter().position(is_config)?;
    let mut turned = rest.to_vec();
    let option = turned.get_mut(at)?;
    let value = option.strip_prefix("--config=").or(rest.get(at + 1).map(String::as_str))?;
    let is_typed = value.rsplit_once(':').is_some_and(|(_, kind)| media_type::is_valid(kind));
    let configures = |file| Hosts::read(Some(file), &[], Vec::new()).is_ok_and(|hosts| !hosts.is_empty());
    if !is_typed && (!Path::new(value).exists() || configures(Path::new(value))) {
        return None;
    }
    *option = option.replacen("--config", "--config-blob", 1);
    Some(turned)
}

/// `tag A B`, B a whole reference.
fn as_tag(rest: &[String]) -> Option<Vec<String>> {
    let [from, to] = rest else { return None };
    let (old, new): (Location, Location) = (from.parse().ok()?, to.parse().ok()?);
    if !matches!(new.place, Place::Registry { .. }) || !to.contains('/') {
        return None;
    }
    Some(match &new.tag {
        Some(tag) if old.place == new.place => vec!["tag".to_owned(), from.clone(), tag.to_string()],
        _ => vec!["copy".to_owned(), from.clone(), to.clone()],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_of_other_tools_type_gets_the_line_to_use() {
        for (typed, meant) in [
            ("push localhost:5000/a:v1 Cargo.toml g.txt", Some("artifact push Cargo.toml g.txt localhost:5000/a:v1")),
            ("push Cargo.toml localhost:5000/a:v1 -t file-bundle", None),
            ("push localhost:5000/a:v1 nothing", None),
            ("push f.txt localhost:5000/a:1.0+b", Some("artifact push f.txt localhost:5000/a:1.0_b")),
            (
                "push --config c.json:application/json f.txt localhost:5000/a",
                Some("artifact push --config-blob c.json:application/json f.txt localhost:5000/a"),
            ),
            ("push --config Cargo.toml f oci:a", Some("artifact push --config-blob Cargo.toml f oci:a")),
            ("push --config=Cargo.toml f oci:a", Some("artifact push --config-blob=Cargo.toml f oci:a")),
            ("push --config examples/hosts.yaml f oci:a", None),
            ("push --config nothing f oci:a", None),
            ("push f.txt localhost:5000/a", None),
            ("pull localhost:5000/a -d dir --untar", Some("artifact pull localhost:5000/a dir --unpack=tree")),
            ("pull localhost:5000/a -o dir", Some("artifact pull localhost:5000/a dir --unpack")),
            ("pull localhost:5000/a --unpack native dir", Some("artifact pull localhost:5000/a --unpack=native dir")),
            ("pull localhost:5000/a dir", None),
            ("login localhost:5000 -u ann -p secret", Some("artifact login localhost:5000 -u ann --password-stdin")),
            ("login ann:secret@localhost:5000 -p x", None),
            ("pull https://ann:secret@localhost:5000/a -d dir", None),
            ("login localhost:5000 --password=secret", Some("artifact login localhost:5000 -u USER --password-stdin")),
            ("tag localhost:5000/a:v1 localhost:5000/a:v2", Some("artifact tag localhost:5000/a:v1 v2")),
            (
                "tag localhost:5000/a:v1 localhost:5000/b:v2",
                Some("artifact copy localhost:5000/a:v1 localhost:5000/b:v2"),
            ),
            ("tag localhost:5000/a:v1 v2", None),
            ("push localhost:5000/a:v1 Cargo.toml -d", Some("artifact push Cargo.toml --debug localhost:5000/a:v1")),
            ("inspect localhost:5000/a -d", Some("artifact inspect localhost:5000/a --debug")),
            ("pull -d localhost:5000/a", Some("artifact pull --debug localhost:5000/a")),
            (
                "push Cargo.toml localhost:5000/a -u ann -p secret",
                Some("artifact push Cargo.toml localhost:5000/a -u ann --password-stdin"),
            ),
            (
                "push Cargo.toml localhost:5000/a -p secret",
                Some("artifact push Cargo.toml localhost:5000/a -u USER --password-stdin"),
            ),
            (
                "copy docker://localhost:5000/a oci:x --src-creds ann:secret",
                Some("artifact copy docker://localhost:5000/a oci:x --from-username ann --from-password-stdin"),
            ),
            ("ls localhost:5000/a -k", Some("artifact ls localhost:5000/a --insecure")),
            (
                "copy localhost:5000/a oci:x --src-tls-verify=false",
                Some("artifact copy localhost:5000/a oci:x --from-insecure"),
            ),
            ("cp -r localhost:5000/a localhost:5000/b", Some("artifact copy localhost:5000/a localhost:5000/b")),
            ("cp --from-oci-layout x:v1 localhost:5000/b", Some("artifact copy oci:x:v1 localhost:5000/b")),
            ("cp localhost:5000/b:v1 --to-oci-layout x:v1", Some("artifact copy localhost:5000/b:v1 oci:x:v1")),
            ("manifest fetch localhost:5000/a:v1", Some("artifact manifest get localhost:5000/a:v1")),
            ("manifest localhost:5000/a:v1", Some("artifact manifest get localhost:5000/a:v1")),
            ("manifest fetch --oci-layout x:v1", Some("artifact manifest get oci:x:v1")),
            ("repo tags localhost:5000/a", Some("artifact ls localhost:5000/a")),
            ("list-tags docker://localhost:5000/a", Some("artifact ls docker://localhost:5000/a")),
            ("discover localhost:5000/a:v1 --format tree", Some("artifact tree localhost:5000/a:v1")),
            ("inspect localhost:5000/a -o json", Some("artifact inspect localhost:5000/a --format=json")),
            (
                "inspect localhost:5000/a --format {{.digest}}",
                Some("artifact inspect localhost:5000/a --template '{{ digest }}'"),
            ),
            ("pull oci://localhost:5000/web --version 1.0.0+a", Some("artifact pull oci://localhost:5000/web:1.0.0_a")),
            ("delete localhost:5000/a:v1 -f", Some("artifact delete localhost:5000/a:v1 --yes")),
            (
                "registry login localhost:5000 -u ann -p secret",
                Some("artifact login localhost:5000 -u ann --password-stdin"),
            ),
            ("generate-key-pair", Some("artifact keygen")),
            ("generate-key-pair --output-key-prefix mine", Some("artifact keygen mine")),
            ("import-key-pair --key k.pem -y", Some("artifact keygen --import k.pem")),
            ("public-key --key cosign.key", Some("artifact keygen --public cosign.key")),
            ("sign-blob --key k --bundle b -y f.txt", Some("artifact sign --key k --bundle b -y --file f.txt")),
            ("verify-blob --key k --bundle b f.txt", Some("artifact verify --key k --bundle b --file f.txt")),
            (
                "verify-attestation --key k localhost:5000/a",
                Some("artifact verify --type custom --key k localhost:5000/a"),
            ),
            (
                "verify-attestation --key k --type vuln localhost:5000/a",
                Some("artifact verify --key k --type vuln localhost:5000/a"),
            ),
            ("inspect localhost:5000/a --nonsense", None),
            ("nonsense", None),
            ("discover localhost:5000/a:v1 -o tree", Some("artifact tree localhost:5000/a:v1")),
            ("discover -o json localhost:5000/a:v1", Some("artifact tree --format=json localhost:5000/a:v1")),
            ("discover localhost:5000/a:v1", None),
        ] {
            let words: Vec<String> = typed.split(' ').map(str::to_owned).collect();
            assert_eq!(advice(&words, false).as_deref(), meant, "{typed}");
        }
    }

    #[test]
    fn whoever_wants_http_and_asks_for_no_verification_gets_the_line_to_use() {
        let words = |typed: &str| typed.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let line = "artifact ls reg.example/a --plain-http";
        assert_eq!(advice(&words("ls reg.example/a --insecure"), true).as_deref(), Some(line));
        assert_eq!(advice(&words("ls reg.example/a"), true), None);
    }

    #[test]
    fn a_word_that_a_shell_would_take_apart_is_quoted() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("reg:5000/a@sha256:0"), "reg:5000/a@sha256:0");
    }
}
