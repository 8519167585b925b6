//! How much each rank sends to each other: a table of bytes, a row a sender, separated by commas or spaces.

use std::sync::Arc;

use topologies::text::{TextError, words};

/// Reads a table; its diagonal, what ranks would send to themselves, is ignored. Returns the number of ranks and the
/// table row by row.
///
/// # Errors
/// [`TextError`] with the place of what is no number, or the row that has too many or too few.
pub fn parse(text: &str) -> Result<(u32, Arc<[u64]>), TextError> {
    let mut rows: Vec<Vec<u64>> = Vec::new();
    let mut size = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().replace(',', " ");
        let found = words(&line, number + 1);
        let Some(first) = found.first() else { continue };
        let row: Result<Vec<u64>, TextError> =
            found.iter().map(|word| word.number("the number of bytes")).collect();
        let (mut row, size) = (row?, *size.get_or_insert(found.len()));
        if row.len() != size || rows.len() == size {
            let message = format!(
                "row {} has {} numbers; expected {size} rows of {size}",
                rows.len() + 1,
                row.len()
            );
            return Err(TextError::at(first, message));
        }
        row[rows.len()] = 0;
        rows.push(row);
    }
    let size = size.unwrap_or(0);
    if rows.len() != size || size < 2 {
        let message =
            format!("{} rows; expected as many as the numbers of a row, {size}", rows.len());
        return Err(TextError { line: 0, column: 0, message });
    }
    Ok((size as u32, rows.concat().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commas, spaces and comments; the diagonal is nobody's; mistakes have a place.
    #[test]
    fn tables_are_read_with_places() {
        let (ranks, table) = parse("# to 0 1 2\n9,1,2\n3 4 5\n6, 7, 8 # last\n").unwrap();
        assert_eq!((ranks, &table[..]), (3, &[0, 1, 2, 3, 0, 5, 6, 7, 0][..]));
        for (text, expected) in [
            ("1 2\n3\n", "2:1: row 2 has 1 numbers; expected 2 rows of 2"),
            ("1 2\n3 x\n", "2:3: the number of bytes"),
            ("1 2\n", "0:0: 1 rows; expected as many"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
