//! `artifact completions`: shell completion scripts.

use std::process::ExitCode;

use artifact::Result;
use clap::CommandFactory as _;

use super::{Cli, report::Report};

/// Print a shell completion script.
///
/// For bash: `artifact completions bash > ~/.local/share/bash-completion/completions/artifact`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// What the generated script for bash lacks: options are offered only to who begins one, and the names of types are known.
/// What follows the `:` of a registry is no file.
const BASH: &str = r#"
_artifact_words() {
    local words=("${COMP_WORDS[@]:0:COMP_CWORD}") word=${COMP_WORDS[COMP_CWORD]} kept=() before= names one
    [[ $word == [=:] ]] && words+=("$word") word=
    local last=${words[${#words[@]}-1]}
    (( ${#words[@]} > 1 )) && before=${words[${#words[@]}-2]}
    if [[ $last == : ]]; then
        COMPREPLY=()
        [[ $before == oci || $before == oci-archive ]] || compopt +o default +o bashdefault 2>/dev/null
        return
    fi
    if [[ $last == = && $before == --unpack ]]; then
        COMPREPLY=( $(compgen -W "native tree" -- "$word") )
        return
    fi
    [[ $last == = ]] && last=$before
    if [[ $word != -* && ( $last == -t || $last == --type || "$before $last" == "types show" ) ]]; then
        names=$(artifact types list --template '{% for type in types %}{{ type.name }} {% endfor %}' 2>/dev/null)
        COMPREPLY=( $(compgen -W "$names" -- "$word") )
        return
    fi
    _artifact artifact "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
    [[ $word == -* ]] && return
    for one in "${COMPREPLY[@]}"; do
        [[ $one == -* ]] || kept+=("$one")
    done
    COMPREPLY=("${kept[@]}")
}
complete -o bashdefault -o default -F _artifact_words artifact
"#;

pub(crate) fn run(args: &Args, report: &Report) -> Result<ExitCode> {
    report.lines_only("a completion script")?;
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "artifact", &mut script);
    if args.shell == clap_complete::Shell::Bash {
        script.extend_from_slice(BASH.as_bytes());
    }
    report.bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}
