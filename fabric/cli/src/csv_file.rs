//! CSV files with a header, line by line.

use std::sync::Arc;

use serde::Deserialize;

use crate::error::{Source, UserError};

/// The lines of a CSV file with a header.
///
/// # Errors
/// The first line that is not as expected, with its place.
pub fn lines<T: for<'a> Deserialize<'a>>(source: &Arc<Source>) -> Result<Vec<T>, UserError> {
    Ok(placed(source)?.into_iter().map(|(_, line)| line).collect())
}

/// The same, each with its number.
///
/// # Errors
/// The first line that is not as expected, with its place.
pub fn placed<T: for<'a> Deserialize<'a>>(
    source: &Arc<Source>,
) -> Result<Vec<(usize, T)>, UserError> {
    let mut reader = csv::Reader::from_reader(source.text.as_bytes());
    let headers = reader.headers().cloned().unwrap_or_default();
    let read = reader.records().map(|record| {
        let record = record?;
        let line = record.position().map_or(0, |position| position.line() as usize);
        Ok((line, record.deserialize(Some(&headers))?))
    });
    let found = read.collect::<Result<Vec<(usize, T)>, csv::Error>>().map_err(|error| {
        let line = error.position().map_or(1, |position| position.line() as usize);
        let message = match error.kind() {
            csv::ErrorKind::Deserialize { err, .. } => err.kind().to_string(),
            _ => error.to_string(),
        };
        UserError::in_text(source, line, 1, &message)
    })?;
    if found.is_empty() {
        return Err(UserError::in_text(source, 0, 0, "the file has no lines after its header"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Line {
        name: String,
        value: f64,
    }

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source { name: "r.csv".into(), text: text.into(), folder: None })
    }

    /// Lines know their number; one that is not as expected is an error with it.
    #[test]
    fn lines_have_places() {
        let found = placed::<Line>(&source("name,value\na,1\nb,2.5\n")).unwrap();
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3]);
        assert_eq!((found[1].1.name.as_str(), found[1].1.value), ("b", 2.5));
        let Err(error) = lines::<Line>(&source("name,value\na,1\nb,fast\n")) else { panic!("no") };
        assert!(error.render().contains("r.csv:3:1"), "{}", error.render());
        assert!(lines::<Line>(&source("name,value\n")).is_err());
    }
}
