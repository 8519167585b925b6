//! What shells and manuals need: completions and man pages.

use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;

use crate::args::{Cli, Completions, Man};
use crate::error::UserError;
use crate::say::{say, say_line};

/// Prints completions for a shell.
///
/// # Errors
/// None: the signature is that of all commands.
pub fn completions(arguments: &Completions) -> Result<ExitCode, UserError> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "ultraloom", &mut text);
    say(&String::from_utf8_lossy(&text));
    Ok(ExitCode::SUCCESS)
}

/// Writes a man page for each command.
///
/// # Errors
/// When one cannot be written.
pub fn man(arguments: &Man) -> Result<ExitCode, UserError> {
    let failed = |path: &Path, error: std::io::Error| {
        UserError::new(format!("cannot write {}: {error}", path.display()))
    };
    let folder = &arguments.out;
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(|error| failed(folder, error))?;
    say_line(&format!(
        "{}: man pages; `man -l {}/ultraloom.1`",
        folder.display(),
        folder.display()
    ));
    Ok(ExitCode::SUCCESS)
}
