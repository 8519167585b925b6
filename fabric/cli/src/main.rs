//! The `ultraloom` binary.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    ultraloom::main(ultraloom::args::Cli::parse())
}
