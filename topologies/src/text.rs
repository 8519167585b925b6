//! Positions in text files, and the word that was probably meant.

use std::fmt;

/// What is wrong in a file, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TextError {
    /// Line, from 1; 0 when the file as a whole is at fault.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was found and what was expected.
    pub message: String,
}

impl TextError {
    /// An error at a word.
    pub fn at(word: &Word<'_>, message: impl Into<String>) -> TextError {
        TextError { line: word.line, column: word.column, message: message.into() }
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for TextError {}

/// A word of a line, with its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word<'a> {
    /// The word.
    pub text: &'a str,
    /// Its line, from 1.
    pub line: usize,
    /// The column of its first character, from 1.
    pub column: usize,
}

impl Word<'_> {
    /// Reads the word as a whole number.
    ///
    /// # Errors
    /// If it is none, or does not fit 64 bits; `what` names it.
    pub fn number(&self, what: &str) -> Result<u64, TextError> {
        self.text.parse().map_err(|_| {
            let found = self.text;
            let digits = !found.is_empty() && found.bytes().all(|byte| byte.is_ascii_digit());
            let allowed = if digits { "at most 2^64 - 1" } else { "a whole number, not negative" };
            TextError::at(self, format!("{what} is `{found}`; expected {allowed}"))
        })
    }
}

/// The words of a line, up to a `#`.
pub fn words(line: &str, number: usize) -> Vec<Word<'_>> {
    let line = line.split('#').next().unwrap_or("");
    let mut words = Vec::new();
    let mut rest = line;
    let mut column = 1;
    loop {
        let trimmed = rest.trim_start();
        column += rest.chars().count() - trimmed.chars().count();
        if trimmed.is_empty() {
            return words;
        }
        let end = trimmed.find(char::is_whitespace).unwrap_or(trimmed.len());
        let text = &trimmed[..end];
        words.push(Word { text, line: number, column });
        column += text.chars().count();
        rest = &trimmed[end..];
    }
}

/// The member of `known` nearest to `found`, if one is near enough to be meant.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = found.to_lowercase();
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&folded, &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= 1 + word.len().min(found.len()) / 3)
        .min()
        .map(|(_, word)| word)
}

/// The hint after an unknown word: ` (did you mean `x`?)`, or nothing.
pub fn hint<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(found, known).map_or(String::new(), |word| format!(" (did you mean `{word}`?)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words know their line and column, and comments are left out.
    #[test]
    fn words_have_places() {
        let found = words("  Nodes 16\t# sixteen", 3);
        assert_eq!(found[0], Word { text: "Nodes", line: 3, column: 3 });
        assert_eq!(found[1], Word { text: "16", line: 3, column: 9 });
        assert_eq!(found.len(), 2);
        assert!(words("# all comment\r", 1).is_empty());
    }

    /// A slip of the finger is recognised, another word is not.
    #[test]
    fn near_words_are_suggested() {
        assert_eq!(nearest("Radix_Donw", ["Radix_Down", "Radix_Up"]), Some("Radix_Down"));
        assert_eq!(nearest("banana", ["Radix_Down", "Radix_Up"]), None);
    }
}
