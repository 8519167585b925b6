//! Flow files of the HPCC authors' ns-3 model (`formats.md`).
//!
//! Line 1 counts the flows; then comes one a line: `SRC DST PRIO PORT BYTES START_SECONDS`. The model
//! starts its flows after two idle seconds; here time zero is the whole second in which the first flow
//! starts. Priority and port have no meaning here: all flows are data, and paths are chosen by seed.

use std::fmt::Write;

use fabric::units::Time;
use topologies::text::{TextError, Word, words};

use crate::flow_table::plain;
use crate::matrix::{Connection, Matrix, Start};

/// Picoseconds of a second.
const SECOND: u64 = 1_000_000_000_000;

/// Whether `text` looks like such a file: its first line is one number.
pub fn is_one(text: &str) -> bool {
    let first = text.lines().map(|line| words(line, 1)).find(|line| !line.is_empty());
    first.is_some_and(|line| matches!(&line[..], [word] if word.number("").is_ok()))
}

/// Reads a flow file.
///
/// # Errors
/// [`TextError`] with the line and column, what was found and what was expected.
pub fn parse(text: &str) -> Result<Matrix, TextError> {
    let mut lines = text.lines().enumerate().map(|(number, line)| words(line, number + 1));
    let mut lines = lines.by_ref().filter(|line| !line.is_empty());
    let whole = |message: String| TextError { line: 0, column: 0, message };
    let head = lines.next().ok_or_else(|| whole("the file is empty".to_owned()))?;
    let stated = head[0].number("the number of flows")?;
    let mut connections = Vec::new();
    for line in lines {
        connections.push(flow(&line, connections.len() as u64 + 1)?);
    }
    let found = connections.len() as u64;
    if stated != found || found == 0 {
        let message =
            format!("{stated} flows are announced, but {found} listed; expected 1 or more");
        return Err(TextError::at(&head[0], message));
    }
    let start = |connection: &Connection| match connection.start {
        Start::At(at) => at.0,
        Start::On(_) => 0,
    };
    let second = connections.iter().map(start).min().unwrap_or(0) / SECOND * SECOND;
    for connection in &mut connections {
        connection.start = Start::At(Time(start(connection) - second));
    }
    let most = connections.iter().map(|flow| flow.src.0.max(flow.dst.0)).max().unwrap_or(0);
    Ok(Matrix { nodes: most + 1, connections, triggers: Vec::new(), failures: Vec::new() })
}

/// Writes flows, with the two idle seconds before them.
///
/// # Errors
/// When they have triggers or failures, which such a file does not know.
pub fn write(matrix: &Matrix) -> Result<String, String> {
    matrix.is_plain()?;
    let mut text = format!("{}\n", matrix.connections.len());
    for (place, flow) in matrix.connections.iter().enumerate() {
        if let Start::At(Time(start)) = flow.start {
            let (second, rest) = (start / SECOND + 2, start % SECOND);
            let port = 10_000 + place % 50_000;
            let Connection { src, dst, bytes, .. } = flow;
            let _ = writeln!(text, "{src} {dst} 3 {port} {bytes} {second}.{rest:012}");
        }
    }
    Ok(text)
}

fn flow(line: &[Word<'_>], id: u64) -> Result<Connection, TextError> {
    let [src, dst, _, _, bytes, start] = line else {
        let message = format!(
            "the flow has {} words; expected `SRC DST PRIO PORT BYTES START_SECONDS`",
            line.len()
        );
        return Err(TextError::at(&line[0], message));
    };
    plain(id, (src, dst), bytes, seconds(start)?)
}

/// Seconds as an exact decimal.
fn seconds(word: &Word<'_>) -> Result<Time, TextError> {
    let span = fabric::units::parse_span(&format!("{} s", word.text));
    span.map(|span| Time(span.0)).map_err(|_| {
        let message = format!("the start is `{}`; expected seconds, like 2.000001", word.text);
        TextError::at(word, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "2\n0 3 3 100 1000000 2.000000000\n1 4 3 100 30 2.000001157\n";

    /// Starts are exact and count from the whole second before the first.
    #[test]
    fn flows_are_read() {
        assert!(is_one(FILE) && !is_one("Nodes 4\n"));
        let matrix = parse(FILE).unwrap();
        assert_eq!(matrix.nodes, 5);
        let flows: Vec<(u32, u32, u64, Start)> =
            matrix.connections.iter().map(|c| (c.src.0, c.dst.0, c.bytes, c.start)).collect();
        let at = |ps| Start::At(Time(ps));
        assert_eq!(flows, [(0, 3, 1_000_000, at(0)), (1, 4, 30, at(1_157_000))]);
    }

    /// Each kind of mistake names its place.
    #[test]
    fn mistakes_name_their_place() {
        for (from, to, expected) in [
            ("2\n", "3\n", "1:1: 3 flows are announced, but 2 listed"),
            ("0 3 3", "3 3 3", "2:3: host 3 sends to itself"),
            (" 30 ", " 0 ", "3:11: the size is 0; expected 1 to 2^62 bytes"),
            (" 30 ", " ", "3:1: the flow has 5 words; expected `SRC DST"),
            ("2.000001157", "soon", "3:14: the start is `soon`; expected seconds"),
        ] {
            let error = parse(&FILE.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
