//! Small tables of text.

/// Columns below their heads, the first to the left and all others to the right.
pub fn aligned(heads: &[&str], rows: Vec<Vec<String>>) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([heads[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let cell = |(column, cell): (usize, &&str)| match column {
            0 => format!("{cell:<width$}", width = widths[0]),
            _ => format!("{cell:>width$}", width = widths[column]),
        };
        let cells: Vec<String> = cells.iter().enumerate().map(cell).collect();
        format!("  {}\n", cells.join("  ").trim_end())
    };
    let body = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    [line(heads.to_vec())].into_iter().chain(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns are as wide as their widest cell.
    #[test]
    fn columns_line_up() {
        let rows =
            vec![vec!["a".to_owned(), "100".to_owned()], vec!["long".to_owned(), "2".to_owned()]];
        assert_eq!(aligned(&["x", "y"], rows), "  x       y\n  a     100\n  long    2\n");
    }
}
