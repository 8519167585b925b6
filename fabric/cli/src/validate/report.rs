//! The table on standard output, and the folder with its record and plot.

use std::path::Path;

use results::fidelity::Fidelity;

use crate::args::Table;
use crate::error::UserError;
use crate::output::Folder;
use crate::say::{say, say_line};

/// Prepares the folder asked for.
///
/// # Errors
/// When something is in the way or it cannot be made.
pub fn prepare(path: &Path) -> Result<Folder, UserError> {
    Folder::prepare(Folder::place(Some(path), "validate", false)?, None)
}

/// Writes the record and the plot, and moves the folder to its place.
///
/// # Errors
/// When a file cannot be written.
pub fn write(folder: Folder, fidelity: &Fidelity) -> Result<(), UserError> {
    let svg = results::plots::fidelity::svg(fidelity).map_err(UserError::new)?;
    let png = results::plots::png(&svg).map_err(UserError::new)?;
    let files = [
        ("validate.json", fidelity.to_json().into_bytes()),
        ("validate.svg", svg.into_bytes()),
        ("validate.png", png),
    ];
    folder.keep(&files).map(|_| ())
}

/// Prints the comparison.
pub fn print(fidelity: &Fidelity, form: Table) {
    match form {
        Table::Human => say(&fidelity.table()),
        Table::Markdown => say(&fidelity.markdown()),
        Table::Json => say_line(&fidelity.to_json()),
        Table::Quiet => {}
    }
}
