//! Our own form of a trace: a table that any tool can write, one line an action.
//!
//! The first line names the columns; cells are separated by commas and may be empty, lists within them by spaces.
//!
//! | column | what it says |
//! |---|---|
//! | `rank`, `node` | the rank, and the action's number within it, from 0 in order |
//! | `action` | `join`, `compute`, `add`, `send`, `receive`, `at`, `wait`, `elapse`, `mark`, or a collective by its name |
//! | `peer` | `send`, `receive`: the other rank; `mark`: the node from whose end on it tells; one-sided collectives: the root's number within `members` |
//! | `tag` | `send`, `receive`: tells messages between two ranks apart |
//! | `bytes` | of a message, a collective's buffer, or what is added up |
//! | `time_ps` | `compute`, `wait`, `elapse` (which counts as communicating): how long; `at`: the moment |
//! | `stream` | `compute`: which stream, each of which does one thing at a time |
//! | `members` | collectives: the ranks, in order |
//! | `matrix` | all-to-all: bytes from each member to each, row by row, if it is not uniform |
//! | `name` | `mark`, collectives: what it is called in results |
//! | `after`, `after_begin` | nodes of the rank that have to be done, or to have begun |

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use fabric::units::{Span, Time};
use topologies::text::{TextError, Word, hint};

use super::{Action, Node, Trace};
use crate::collective::Kind;

const COLUMNS: [&str; 13] = [
    "rank",
    "node",
    "action",
    "peer",
    "tag",
    "bytes",
    "time_ps",
    "stream",
    "members",
    "matrix",
    "name",
    "after",
    "after_begin",
];

/// Whether `text` looks like such a table.
pub fn is_one(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.trim_end() == COLUMNS.join(","))
}

/// Writes a trace.
pub fn write(trace: &Trace) -> String {
    let mut text = COLUMNS.join(",") + "\n";
    for (rank, nodes) in trace.ranks.iter().enumerate() {
        for (place, node) in nodes.iter().enumerate() {
            let _ = writeln!(text, "{rank},{place},{}", cells(node).join(","));
        }
    }
    text
}

fn list<T: ToString>(numbers: &[T]) -> String {
    numbers.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

/// The cells of a node behind its rank and number.
fn cells(node: &Node) -> [String; 11] {
    let mut cells: [String; 11] = Default::default();
    let mut set = |column: &str, value: String| {
        let place = COLUMNS[2..].iter().position(|known| *known == column);
        cells[place.expect("a column")] = value;
    };
    match &node.action {
        Action::Join => set("action", "join".to_owned()),
        Action::Compute { time, stream } => {
            set("action", "compute".to_owned());
            set("time_ps", time.0.to_string());
            set("stream", stream.to_string());
        }
        Action::Add { bytes } => {
            set("action", "add".to_owned());
            set("bytes", bytes.to_string());
        }
        Action::Send { to, bytes, tag } => {
            set("action", "send".to_owned());
            set("peer", to.to_string());
            set("tag", tag.to_string());
            set("bytes", bytes.to_string());
        }
        Action::Receive { from, tag } => {
            set("action", "receive".to_owned());
            set("peer", from.to_string());
            set("tag", tag.to_string());
        }
        Action::Collective { kind, bytes, members, root, name, matrix } => {
            set("action", kind.name().to_owned());
            set("peer", root.to_string());
            set("bytes", bytes.to_string());
            set("members", list(members));
            set("matrix", matrix.as_ref().map_or_else(String::new, |matrix| list(matrix)));
            set("name", name.to_string());
        }
        Action::At(time) => {
            set("action", "at".to_owned());
            set("time_ps", time.0.to_string());
        }
        Action::Wait(time) => {
            set("action", "wait".to_owned());
            set("time_ps", time.0.to_string());
        }
        Action::Elapse(time) => {
            set("action", "elapse".to_owned());
            set("time_ps", time.0.to_string());
        }
        Action::Mark { since, name } => {
            set("action", "mark".to_owned());
            set("peer", since.to_string());
            set("name", name.to_string());
        }
    }
    set("after", list(&node.after));
    set("after_begin", list(&node.after_begin));
    cells
}

/// Cells of a line, each with its place.
pub(crate) fn split(line: &str, number: usize) -> Vec<Word<'_>> {
    let mut column = 1;
    let cell = |text| {
        let word = Word { text, line: number, column };
        column += text.chars().count() + 1;
        word
    };
    line.trim_end().split(',').map(cell).collect()
}

/// Reads a trace.
///
/// # Errors
/// [`TextError`] with the place of what cannot be read.
pub fn parse(text: &str) -> Result<Trace, TextError> {
    let mut trace = Trace::default();
    // Ranks of a group share the list of its members.
    let mut groups: BTreeMap<Vec<u32>, Arc<[u32]>> = BTreeMap::new();
    for (number, line) in text.lines().enumerate().skip(1) {
        if line.trim().is_empty() {
            continue;
        }
        let cells = split(line, number + 1);
        let cells: [Word<'_>; 13] = cells.try_into().map_err(|cells: Vec<Word<'_>>| {
            let message = format!("the line has {} cells; expected {}", cells.len(), COLUMNS.len());
            TextError::at(&cells[0], message)
        })?;
        let rank = small(&cells[0], "the rank")?;
        if rank >= 1 << 24 {
            return Err(TextError::at(
                &cells[0],
                format!("the rank is {rank}; expected less than 2^24"),
            ));
        }
        if trace.ranks.len() <= rank as usize {
            trace.ranks.resize(rank as usize + 1, Vec::new());
        }
        let nodes = &mut trace.ranks[rank as usize];
        let node = cells[1].number("the node")?;
        if node != nodes.len() as u64 {
            let message =
                format!("the node is {node}; expected {}, the next of rank {rank}", nodes.len());
            return Err(TextError::at(&cells[1], message));
        }
        let action = action(&cells, &mut groups)?;
        let numbers = |cell: &Word<'_>| numbers(cell, "the node");
        let (after, after_begin) = (numbers(&cells[11])?, numbers(&cells[12])?);
        nodes.push(Node { action, after, after_begin });
    }
    if trace.ranks.is_empty() {
        let message = "the table has no line".to_owned();
        return Err(TextError { line: 0, column: 0, message });
    }
    check(&trace)?;
    Ok(trace)
}

/// Nodes that others wait for are there.
fn check(trace: &Trace) -> Result<(), TextError> {
    for (rank, nodes) in trace.ranks.iter().enumerate() {
        for (place, node) in nodes.iter().enumerate() {
            let since = match &node.action {
                Action::Mark { since, .. } => Some(*since),
                _ => None,
            };
            let mut named = node.after.iter().chain(&node.after_begin).copied().chain(since);
            if let Some(other) = named.find(|other| *other as usize >= nodes.len()) {
                let message = format!(
                    "rank {rank}: node {place} names node {other}; there are {}",
                    nodes.len()
                );
                return Err(TextError { line: 0, column: 0, message });
            }
            if since.is_some_and(|since| since as usize >= place) {
                let message = format!(
                    "rank {rank}: mark {place} has to come behind the node that it tells of"
                );
                return Err(TextError { line: 0, column: 0, message });
            }
        }
    }
    Ok(())
}

fn small(cell: &Word<'_>, what: &str) -> Result<u32, TextError> {
    let number = cell.number(what)?;
    u32::try_from(number)
        .map_err(|_| TextError::at(cell, format!("{what} is {number}; expected less than 2^32")))
}

fn numbers(cell: &Word<'_>, what: &str) -> Result<Vec<u32>, TextError> {
    let mut column = cell.column;
    let number = |text| {
        let word = Word { text, line: cell.line, column };
        column += text.chars().count() + 1;
        small(&word, what)
    };
    if cell.text.is_empty() { Ok(Vec::new()) } else { cell.text.split(' ').map(number).collect() }
}

fn action(
    cells: &[Word<'_>; 13],
    groups: &mut BTreeMap<Vec<u32>, Arc<[u32]>>,
) -> Result<Action, TextError> {
    let [_, _, what, peer, tag, bytes, time, stream, members, matrix, name, ..] = cells;
    let span = || Ok::<Span, TextError>(Span(time.number("the time")?));
    let text = || Cow::Owned(name.text.to_owned());
    Ok(match what.text {
        "join" => Action::Join,
        "compute" => {
            let number = if stream.text.is_empty() { 0 } else { stream.number("the stream")? };
            let stream = u8::try_from(number).map_err(|_| {
                TextError::at(stream, format!("the stream is {number}; expected at most 255"))
            })?;
            Action::Compute { time: span()?, stream }
        }
        "add" => Action::Add { bytes: bytes.number("the bytes")? },
        "send" => Action::Send {
            to: small(peer, "the peer")?,
            bytes: bytes.number("the bytes")?,
            tag: tag.number("the tag")?,
        },
        "receive" => {
            Action::Receive { from: small(peer, "the peer")?, tag: tag.number("the tag")? }
        }
        "at" => Action::At(Time(time.number("the time")?)),
        "wait" => Action::Wait(span()?),
        "elapse" => Action::Elapse(span()?),
        "mark" => Action::Mark { since: small(peer, "the node")?, name: text() },
        other => {
            let Some((_, kind)) = Kind::NAMES.iter().find(|(known, _)| *known == other) else {
                let plain =
                    ["join", "compute", "add", "send", "receive", "at", "wait", "elapse", "mark"];
                let known = plain.into_iter().chain(Kind::NAMES.iter().map(|(name, _)| *name));
                let message = format!("the action is `{other}`{}", hint(other, known));
                return Err(TextError::at(what, message));
            };
            let list = numbers(members, "the member")?;
            if list.len() < 2 {
                return Err(TextError::at(members, "a collective has two members at least"));
            }
            let root = if peer.text.is_empty() { 0 } else { small(peer, "the root")? };
            let group = groups.entry(list).or_insert_with_key(|list| Arc::from(list.as_slice()));
            let members = Arc::clone(group);
            let matrix = table(matrix, members.len())?;
            let bytes = bytes.number("the bytes")?;
            Action::Collective { kind: *kind, bytes, members, root, name: text(), matrix }
        }
    })
}

/// The bytes of an all-to-all that is not uniform.
fn table(cell: &Word<'_>, members: usize) -> Result<Option<Arc<[u64]>>, TextError> {
    if cell.text.is_empty() {
        return Ok(None);
    }
    let number = |text: &str| text.parse::<u64>().ok();
    let found: Option<Vec<u64>> = cell.text.split(' ').map(number).collect();
    match found {
        Some(found) if found.len() == members * members => Ok(Some(found.into())),
        _ => {
            let message = format!("the matrix is not {} whole numbers", members * members);
            Err(TextError::at(cell, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Trace {
        let members: Arc<[u32]> = Arc::from([0, 1]);
        let collective = |kind, matrix| Action::Collective {
            kind,
            bytes: 8,
            members: Arc::clone(&members),
            root: 1,
            name: "sum".into(),
            matrix,
        };
        let first = vec![
            Node::new(Action::At(Time(5)), vec![]),
            Node::new(Action::Compute { time: Span(7), stream: 2 }, vec![0]),
            Node::new(Action::Send { to: 1, bytes: 9, tag: 3 }, vec![1]),
            Node::new(collective(Kind::Broadcast, None), vec![2]),
            Node::new(collective(Kind::AllToAll, Some(Arc::from([0, 1, 2, 3]))), vec![3]),
            Node::new(Action::Mark { since: 0, name: "all".into() }, vec![4]),
            Node { action: Action::Wait(Span(1)), after: vec![], after_begin: vec![1, 2] },
        ];
        let second = vec![
            Node::new(Action::Receive { from: 0, tag: 3 }, vec![]),
            Node::new(Action::Add { bytes: 4 }, vec![0]),
            Node::new(collective(Kind::Broadcast, None), vec![]),
            Node::new(collective(Kind::AllToAll, Some(Arc::from([0, 1, 2, 3]))), vec![]),
            Node::new(Action::Elapse(Span(2)), vec![2, 3]),
            Node::new(Action::Join, vec![4]),
        ];
        Trace { ranks: vec![first, second], is_service: false }
    }

    /// What is written is read back.
    #[test]
    fn tables_are_read_back() {
        let text = write(&some());
        assert!(is_one(&text));
        assert_eq!(parse(&text).unwrap(), some());
    }

    /// Mistakes name their place.
    #[test]
    fn mistakes_name_their_place() {
        let text = write(&some());
        for (from, to, expected) in [
            ("0,1,compute", "0,2,compute", "3:3: the node is 2; expected 1, the next of rank 0"),
            ("0,1,compute", "0,1,computes", "3:5: the action is `computes`"),
            ("0,2,send,1", "0,2,send,x", "4:10: the peer is `x`"),
            ("0 1 2 3,sum", "0 1 2,sum", "6:27: the matrix is not 4 whole numbers"),
            ("all,4,", "all,4 9,", "0:0: rank 0: node 5 names node 9; there are 7"),
            ("1,5,join,,", "1,5,join,", "14:1: the line has 12 cells; expected 13"),
        ] {
            assert!(text.contains(from), "{from} in {text}");
            let error = parse(&text.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
