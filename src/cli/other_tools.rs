//! What users of other tools type: the command line that does here what they mean.

use std::path::Path;

use artifact::{
    location::{Location, Place},
    oci::{RegistryName, media_type, without_userinfo},
    push::SourceFile,
    stores::registry::Hosts,
};

/// The line to use instead, for a command line that was refused; `None` if it is not one of these.
///
/// The arguments are without the program's name. No secret is repeated: the value of `-p` is left out, and there is no line
/// where a password may stand in front of a host.
pub(super) fn advice(arguments: &[String]) -> Option<String> {
    let (command, rest) = arguments.split_first()?;
    if rest.iter().any(|word| without_userinfo(word) != *word) {
        return None;
    }
    match command.as_str() {
        "push" => push(rest),
        "pull" => pull(rest),
        "login" => login(rest),
        "tag" => tag(rest),
        "discover" => discover(rest),
        "generate-key-pair" => Some(keygen(rest, None)),
        "import-key-pair" => Some(keygen(rest, Some("--import"))),
        "public-key" => Some(keygen(rest, Some("--public"))),
        _ => None,
    }
}

fn line(command: &str, rest: &[String]) -> String {
    let words: Vec<String> = rest.iter().map(|word| quoted(word)).collect();
    format!("artifact {command} {}", words.join(" ")).trim_end().to_owned()
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

/// Whether a word is a location in a registry, and nothing on this disk.
fn is_remote(word: &str) -> bool {
    let registry = word.split('/').next().is_some_and(RegistryName::is_meant_by);
    word.contains('/') && registry && !Path::new(word).exists() && word.parse::<Location>().is_ok()
}

/// `push LOCATION FILE…` of oras, `--config FILE[:TYPE]` of oras, a `+` in a tag as in Helm's versions.
fn push(rest: &[String]) -> Option<String> {
    if let Some(turned) = config_blob(rest) {
        return Some(line("push", &turned));
    }
    let is_source = |word: &String| word.parse::<SourceFile>().is_ok_and(|source| source.path.exists());
    let is_first = |at: &usize| !rest.iter().take(*at).any(is_source) && rest.iter().skip(at + 1).any(is_source);
    if let Some(at) = rest.iter().position(|word| is_remote(word)).filter(is_first) {
        let mut turned = rest.to_vec();
        let location = turned.remove(at);
        turned.push(location);
        return Some(line("push", &turned));
    }
    let (last, before) = rest.split_last()?;
    let (place, name) = last.rsplit_once(':').filter(|(_, name)| name.contains('+') && !name.contains('/'))?;
    let fixed = format!("{place}:{}", name.replace('+', "_"));
    fixed.parse::<Location>().ok()?;
    Some(line("push", &[before, &[fixed]].concat()))
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

/// `-d DIR` and `--untar` of Helm, `-o DIR` of oras, `--unpack native DIR`.
fn pull(rest: &[String]) -> Option<String> {
    let mut words = Vec::new();
    let mut changed = false;
    let mut skip = false;
    for (at, word) in rest.iter().enumerate() {
        if std::mem::take(&mut skip) {
            continue;
        }
        let next = rest.get(at + 1);
        match word.as_str() {
            "-d" | "--destination" | "--untardir" | "-o" | "--output" => {
                words.extend(next.cloned());
                (skip, changed) = (true, true);
            }
            "--untar" => {
                words.push("--unpack=tree".to_owned());
                changed = true;
            }
            "--unpack" if next.is_some_and(|view| matches!(view.as_str(), "native" | "tree")) => {
                words.push(format!("--unpack={}", next?));
                (skip, changed) = (true, true);
            }
            _ => words.push(word.clone()),
        }
    }
    if changed && !words.iter().any(|word| word.starts_with("--unpack")) {
        words.push("--unpack".to_owned());
    }
    changed.then(|| line("pull", &words))
}

/// `-o tree` and `--format tree` of oras: a tree is what is shown.
fn discover(rest: &[String]) -> Option<String> {
    let is_format = |word: &String| matches!(word.as_str(), "-o" | "--output" | "--format");
    let at = rest.iter().position(is_format)?;
    let format = rest.get(at + 1)?;
    let mut words = [rest.get(..at)?, rest.get(at + 2..)?].concat();
    if format == "json" {
        words.extend(["--format".to_owned(), "json".to_owned()]);
    }
    Some(line("tree", &words))
}

/// `generate-key-pair`, `import-key-pair --key KEY` and `public-key --key KEY` of cosign.
fn keygen(rest: &[String], key_option: Option<&str>) -> String {
    let value = |option: &str| {
        let next = rest.iter().position(|word| word == option).and_then(|at| rest.get(at + 1).cloned());
        let joined = || rest.iter().find_map(|word| word.strip_prefix(option)?.strip_prefix('=').map(str::to_owned));
        next.or_else(joined).filter(|value| !value.contains("PRIVATE KEY"))
    };
    let mut words = Vec::from_iter(value("--output-key-prefix"));
    words.extend(key_option.into_iter().flat_map(|option| [option.to_owned(), value("--key").unwrap_or("KEY".into())]));
    line("keygen", &words)
}

/// `-p PASSWORD`: a password in a command line is seen by all users of the machine.
fn login(rest: &[String]) -> Option<String> {
    let is_password = |word: &String| word == "-p" || word.starts_with("--password=") || word == "--password";
    let at = rest.iter().position(is_password)?;
    let skip = if rest.get(at)?.contains('=') { 1 } else { 2 };
    let mut words: Vec<String> = rest.get(..at)?.to_vec();
    words.extend(rest.get(at + skip..).unwrap_or_default().iter().cloned());
    words.push("--password-stdin".to_owned());
    Some(line("login", &words))
}

/// `tag A B`, B a whole reference.
fn tag(rest: &[String]) -> Option<String> {
    let [from, to] = rest else { return None };
    let (old, new): (Location, Location) = (from.parse().ok()?, to.parse().ok()?);
    if !matches!(new.place, Place::Registry { .. }) || !to.contains('/') {
        return None;
    }
    Some(match &new.tag {
        Some(tag) if old.place == new.place => line("tag", &[from.clone(), tag.to_string()]),
        _ => line("copy", rest),
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
            ("login localhost:5000 --password=secret", Some("artifact login localhost:5000 --password-stdin")),
            ("tag localhost:5000/a:v1 localhost:5000/a:v2", Some("artifact tag localhost:5000/a:v1 v2")),
            (
                "tag localhost:5000/a:v1 localhost:5000/b:v2",
                Some("artifact copy localhost:5000/a:v1 localhost:5000/b:v2"),
            ),
            ("tag localhost:5000/a:v1 v2", None),
            ("discover localhost:5000/a:v1 -o tree", Some("artifact tree localhost:5000/a:v1")),
            ("discover -o json localhost:5000/a:v1", Some("artifact tree localhost:5000/a:v1 --format json")),
            ("discover localhost:5000/a:v1", None),
            ("generate-key-pair", Some("artifact keygen")),
            ("generate-key-pair --output-key-prefix mine", Some("artifact keygen mine")),
            ("import-key-pair --key k.pem", Some("artifact keygen --import k.pem")),
            ("import-key-pair --output-key-prefix=a --key=k.pem", Some("artifact keygen a --import k.pem")),
            ("import-key-pair", Some("artifact keygen --import KEY")),
            ("public-key --key cosign.key", Some("artifact keygen --public cosign.key")),
        ] {
            let words: Vec<String> = typed.split(' ').map(str::to_owned).collect();
            assert_eq!(advice(&words).as_deref(), meant, "{typed}");
        }
    }

    #[test]
    fn a_word_that_a_shell_would_take_apart_is_quoted() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("reg:5000/a@sha256:0"), "reg:5000/a@sha256:0");
    }
}
