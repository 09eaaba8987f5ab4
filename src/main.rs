//! The command line of `artifact`: a thin skin over the library's public API.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
