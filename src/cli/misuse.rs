//! Messages about a command line that cannot be parsed.

use std::{
    borrow::Cow,
    ffi::OsString,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use artifact::{Error, oci::without_userinfo, text::is_harmful};
use serde_json::json;

use super::{
    hint, other_tools,
    report::{colored, wants_colors},
    text::{escape, without_controls},
};

/// Prints the usage error, or the requested help. What stands in front of a host is redacted, and control characters in
/// arguments escaped.
pub(crate) fn report_misuse(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let terminal = if error.use_stderr() { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    let colors = !wants_json(arguments) && wants_colors(arguments, terminal);
    let text = error.render();
    let given = || arguments.iter().map(|argument| argument.to_string_lossy());
    let mut text = match given().any(|argument| argument.contains(is_harmful)) {
        false if colors => text.ansi().to_string(),
        false => text.to_string(),
        true => escape_lines(text.to_string(), given()),
    };
    for value in given().map(|argument| value_of(&argument).to_owned()) {
        let local = value.starts_with("oci:") && !value.starts_with("oci://")
            || value.starts_with("oci-archive:")
            || value.starts_with(['.', '/']);
        if !local && value.contains('@') {
            text = text.replace(&value, &without_userinfo(&value));
        }
    }
    if error.use_stderr() && wants_json(arguments) {
        return report_as_json(error, &text, arguments);
    }
    let own = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Error>());
    let line = if error.use_stderr() { line_for(arguments) } else { None };
    if line.is_some() {
        // What the parser guesses besides is of no use then.
        text.truncate(text.find("\n\n").unwrap_or(text.len()));
    }
    if let Some(hint) = line.or_else(|| own.and_then(hint::for_error)).filter(|_| error.use_stderr()) {
        let hint = format!("hint: {hint}");
        text.push_str(&format!("\n{}\n", if colors { colored(&hint) } else { hint }));
    }
    let _ = match error.use_stderr() {
        true => io::stderr().lock().write_all(text.as_bytes()),
        false => io::stdout().lock().write_all(text.as_bytes()),
    };
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// For a command line of another tool, the line to use.
fn line_for(arguments: &[OsString]) -> Option<String> {
    let typed: Vec<String> = arguments.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    other_tools::advice(&typed, false).map(|line| format!("`{}`", escape(&line)))
}

/// Whether `--format json` stands among the arguments.
fn wants_json(arguments: &[OsString]) -> bool {
    let pairs = arguments.iter().zip(arguments.iter().skip(1));
    arguments.iter().any(|argument| argument == "--format=json")
        || pairs.into_iter().any(|(option, value)| option == "--format" && value == "json")
}

fn report_as_json(error: &clap::Error, text: &str, arguments: &[OsString]) -> ExitCode {
    let own = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Error>());
    let message = text.strip_prefix("error: ").unwrap_or(text).trim_end();
    let (code, facts) = (own.and_then(Error::code), own.map(Error::facts));
    let hint = line_for(arguments).or_else(|| own.and_then(hint::for_error));
    let error_json = json!({ "code": code, "message": message, "facts": facts, "hint": hint });
    let line = json!({ "event": "error", "command": null, "error": error_json }).to_string();
    let _ = io::stderr().lock().write_all(format!("{}\n", without_controls(&line)).as_bytes());
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// The value in `--option=value`; any other argument as it is.
fn value_of(argument: &str) -> &str {
    argument.split_once('=').filter(|(option, _)| option.starts_with('-')).map_or(argument, |(_, value)| value)
}

/// Escapes these arguments and their values in a text of several lines.
fn escape_lines<'a>(mut text: String, arguments: impl Iterator<Item = Cow<'a, str>>) -> String {
    for argument in arguments.filter(|argument| argument.contains(is_harmful)) {
        let value = value_of(&argument);
        text = text.replace(&*argument, &escape(&argument)).replace(value, &escape(value));
    }
    let lines: Vec<String> = text.split('\n').map(escape).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_escaped_wherever_a_message_of_several_lines_repeats_it() {
        let arguments = ["a\nb\u{1b}", "--type=c\nd"].map(Cow::Borrowed);
        let text = "bad 'a\nb\u{1b}': `a\nb\u{1b}`\nbad 'c\nd', part \u{202e}\n".to_owned();
        let shown = "bad 'a\\nb\\u{1b}': `a\\nb\\u{1b}`\nbad 'c\\nd', part \\u{202e}\n";
        assert_eq!(escape_lines(text, arguments.into_iter()), shown);
    }
}
