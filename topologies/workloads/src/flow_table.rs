//! Flows as a table of our own: the first line is `src,dst,bytes,start_ps`, and every other a flow.

use std::fmt::Write;

use fabric::ids::HostId;
use fabric::units::Time;
use topologies::text::{TextError, Word};

use crate::matrix::{Connection, Matrix, Start};
use crate::traces::csv::split;

const COLUMNS: &str = "src,dst,bytes,start_ps";

/// Whether `text` looks like such a table.
pub fn is_one(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.trim_end() == COLUMNS)
}

/// Writes flows.
///
/// # Errors
/// When they have triggers or failures, which such a table does not know.
pub fn write(matrix: &Matrix) -> Result<String, String> {
    matrix.is_plain()?;
    let mut text = COLUMNS.to_owned() + "\n";
    for flow in &matrix.connections {
        if let Start::At(start) = flow.start {
            let _ = writeln!(text, "{},{},{},{}", flow.src, flow.dst, flow.bytes, start.0);
        }
    }
    Ok(text)
}

/// Reads flows.
///
/// # Errors
/// [`TextError`] with the place of what cannot be read.
pub fn parse(text: &str) -> Result<Matrix, TextError> {
    let mut connections = Vec::new();
    for (number, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.is_empty()) {
        connections.push(flow(&split(line, number + 1), connections.len() as u64 + 1)?);
    }
    if connections.is_empty() {
        let message = "the table has no flows".to_owned();
        return Err(TextError { line: 0, column: 0, message });
    }
    let most = connections.iter().map(|flow| flow.src.0.max(flow.dst.0)).max().unwrap_or(0);
    Ok(Matrix { nodes: most + 1, connections, triggers: Vec::new(), failures: Vec::new() })
}

fn flow(cells: &[Word<'_>], id: u64) -> Result<Connection, TextError> {
    let [src, dst, bytes, start] = cells else {
        let message = format!("the line has {} cells; expected {COLUMNS}", cells.len());
        return Err(TextError::at(&cells[0], message));
    };
    let start = Time(start.number("the start")?);
    plain(id, (src, dst), bytes, start)
}

/// A flow that starts at a time, from words that say its hosts and size.
pub(crate) fn plain(
    id: u64,
    (src, dst): (&Word<'_>, &Word<'_>),
    bytes: &Word<'_>,
    start: Time,
) -> Result<Connection, TextError> {
    let host = |word: &Word<'_>| {
        let number = word.number("the host")?;
        let small = u32::try_from(number).ok().filter(|number| *number < 16 << 20);
        small.map(HostId).ok_or_else(|| {
            TextError::at(word, format!("the host is {number}; expected less than {}", 16 << 20))
        })
    };
    let (from, to) = (host(src)?, host(dst)?);
    if from == to {
        return Err(TextError::at(dst, format!("host {from} sends to itself")));
    }
    let size = bytes.number("the size")?;
    if size == 0 || size >= 1 << 62 {
        return Err(TextError::at(bytes, format!("the size is {size}; expected 1 to 2^62 bytes")));
    }
    Ok(Connection {
        id,
        shares_id: false,
        src: from,
        dst: to,
        bytes: size,
        start: Start::At(start),
        send_done: None,
        recv_done: None,
        line: src.line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written is read back; mistakes name their place.
    #[test]
    fn tables_are_read_back() {
        let text = "src,dst,bytes,start_ps\n0,5,1000,7\n3,1,20,0\n";
        let matrix = parse(text).unwrap();
        assert_eq!((matrix.nodes, matrix.connections.len()), (6, 2));
        assert_eq!(write(&matrix).unwrap(), text);
        for (from, to, expected) in [
            ("3,1,20", "3,3,20", "3:3: host 3 sends to itself"),
            ("0,5,1000,7", "0,5,1000", "2:1: the line has 3 cells; expected src,dst"),
            ("20,0", "0,0", "3:5: the size is 0"),
            ("1000,7", "1000,x", "2:10: the start is `x`"),
        ] {
            let error = parse(&text.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
