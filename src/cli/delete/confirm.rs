//! The question before tags of a whole store are deleted.

use std::io::{self, IsTerminal as _, Write as _};

use artifact::{Error, Kind, Result, error::Context as _};

use super::super::{
    report::Report,
    text::{count, escape},
};

/// Most tags that a question names.
const SHOWN: usize = 10;

/// Whether somebody can answer: with `--format json`, a program reads what would be the question.
pub(super) fn can_ask(report: &Report) -> bool {
    !report.is_json() && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks whether these locations are to be deleted. Errors: they are not.
pub(super) fn ask(all: &[String]) -> Result<()> {
    let mut err = io::stderr().lock();
    err.write_all(question(all).as_bytes()).and_then(|()| err.flush()).context(|| "cannot write the question")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context(|| "cannot read the answer")?;
    if is_yes(&answer) { Ok(()) } else { Err(Error::new(Kind::Invalid, "nothing was deleted: the answer was not `y`")) }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

fn question(all: &[String]) -> String {
    let named: Vec<String> = all.iter().take(SHOWN).map(|one| format!("  {}\n", escape(one))).collect();
    let more = match all.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("  and {more} more\n"),
    };
    format!("{}{more}delete {}? [y/N] ", named.concat(), count(all.len(), "tag"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_what_would_go_and_only_yes_is_yes() {
        let all: Vec<String> = (0..12).map(|n| format!("oci:app:v{n}")).collect();
        let asked = question(&all);
        assert!(
            asked.starts_with("  oci:app:v0\n") && asked.ends_with("  and 2 more\ndelete 12 tags? [y/N] "),
            "{asked}"
        );
        assert_eq!(question(&["oci:a:b\u{1b}".into()]), "  oci:a:b\\u{1b}\ndelete 1 tag? [y/N] ");
        assert!(["y\n", "Y", "yes\n"].into_iter().all(is_yes));
        assert!(!["", "\n", "n", "yeah", "yes please"].into_iter().any(is_yes));
    }
}
