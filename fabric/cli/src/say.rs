//! What goes to standard output. A reader that has seen enough and leaves (`| head`) is no error.

use std::io::Write;

/// Writes a text.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody is left to tell if this fails.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// The same, with an end of line.
pub(crate) fn say_line(text: &str) {
    say(&format!("{text}\n"));
}
