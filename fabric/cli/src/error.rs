//! Errors that users cause: where, what was found, what is possible.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// A text that was read: a file, or the value of a `--set`.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// What it is called in messages.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// Where relative file names in it start from.
    pub folder: Option<PathBuf>,
}

/// A place in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The source.
    pub source: Arc<Source>,
    /// Bytes of it.
    pub range: Range<usize>,
}

/// Something the user can mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserError {
    /// What is wrong.
    pub message: String,
    /// Where, if in a text.
    pub origin: Option<Origin>,
    /// What would help.
    pub help: Option<String>,
}

impl UserError {
    /// An error that is not in a text.
    pub fn new(message: impl Into<String>) -> UserError {
        UserError { message: message.into(), origin: None, help: None }
    }

    /// An error at a place.
    pub fn at(origin: &Origin, message: impl Into<String>) -> UserError {
        UserError { message: message.into(), origin: Some(origin.clone()), help: None }
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> UserError {
        self.help = Some(help.into());
        self
    }

    /// An error at a line and column of a text, both from 1; the whole text if the line is 0.
    pub fn in_text(source: &Arc<Source>, line: usize, column: usize, message: &str) -> UserError {
        let start = offset(&source.text, line, column);
        let rest = &source.text[start..];
        let word = rest.find(char::is_whitespace).unwrap_or(rest.len()).max(1);
        let end = if line == 0 { start } else { (start + word).min(source.text.len()) };
        UserError::at(&Origin { source: Arc::clone(source), range: start..end }, message)
    }

    /// The text to print: message, place, the line itself, and help.
    pub fn render(&self) -> String {
        let mut report = Level::ERROR
            .primary_title(self.message.as_str())
            .elements(Vec::<annotate_snippets::Element<'_>>::new());
        if let Some(Origin { source, range }) = &self.origin {
            let snippet = Snippet::source(source.text.as_str()).path(source.name.as_str());
            let annotation = AnnotationKind::Primary.span(range.clone());
            report = report.element(snippet.annotation(annotation));
        }
        if let Some(help) = &self.help {
            report = report.element(Level::HELP.message(help.as_str()));
        }
        Renderer::plain().render(&[report])
    }
}

/// There is no `what` of that name: what there is, and the nearest.
pub fn unknown(what: &str, name: &str, known: &[&str]) -> UserError {
    let error =
        UserError::new(format!("there is no {what} `{name}`; there are {}", known.join(", ")));
    match topologies::text::nearest(name, known.iter().copied()) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error,
    }
}

/// The byte at which a line's column begins.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let mut start = 0;
    for (number, content) in text.split_inclusive('\n').enumerate() {
        if number + 1 == line {
            let within = content.char_indices().nth(column.saturating_sub(1));
            return start + within.map_or(content.trim_end().len(), |(at, _)| at);
        }
        start += content.len();
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Arc<Source> {
        let text = "name = \"x\"\nseed = maybe\n".to_owned();
        Arc::new(Source { name: "x.toml".into(), text, folder: None })
    }

    /// An error shows its message, file, line, column and the line itself, then help.
    #[test]
    fn errors_show_their_place() {
        let error = UserError::in_text(&source(), 2, 8, "no such seed").help("write a number");
        let text = error.render();
        assert!(text.starts_with("error: no such seed\n"), "{text}");
        for part in ["x.toml:2:8", "seed = maybe", "^^^^^", "help: write a number"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    /// An error without a place is one line.
    #[test]
    fn errors_without_a_place_are_one_line() {
        assert_eq!(UserError::new("the disk is full").render(), "error: the disk is full");
    }
}
