//! GOAL text (LogGOPSim, ATLAHS; `formats.md`): ranks with sends, receives and calculations, and what requires what.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

use fabric::units::Span;
use topologies::text::{TextError, Word, words};

use crate::traces::{Action, Node, Trace};

/// Whether `text` looks like GOAL: its first words are `num_ranks`.
pub fn is_one(text: &str) -> bool {
    text.split_whitespace().next() == Some("num_ranks")
}

/// Reads a schedule. Calculations are in nanoseconds; those of a rank's cpu follow each other.
///
/// # Errors
/// [`TextError`] with the place of what cannot be read.
pub fn parse(text: &str) -> Result<Trace, TextError> {
    let mut reader = Reader { ranks: Vec::new(), open: None, labels: BTreeMap::new(), first: true };
    for (number, line) in text.lines().enumerate() {
        let line = line.split("//").next().unwrap_or_default();
        let found = words(line, number + 1);
        if !found.is_empty() {
            reader.line(&found)?;
        }
    }
    if let Some(rank) = reader.open {
        let message = format!("rank {rank} is not closed; expected `}}`");
        return Err(TextError { line: 0, column: 0, message });
    }
    Ok(Trace { ranks: reader.ranks, is_service: false })
}

/// Writes a schedule; times are rounded to nanoseconds.
///
/// # Errors
/// When it has something that GOAL cannot say: collectives, which can be [expanded](Trace::expanded), or moments to wait for.
pub fn write(trace: &Trace) -> Result<String, String> {
    let mut text = format!("num_ranks {}\n", trace.ranks.len());
    // A receive says its size as well: that of the message sent first of those that are left.
    let mut sizes: BTreeMap<(u32, u32, u64), VecDeque<u64>> = BTreeMap::new();
    for (rank, node) in
        (0..).zip(&trace.ranks).flat_map(|(rank, n)| n.iter().map(move |n| (rank, n)))
    {
        if let Action::Send { to, bytes, tag } = node.action {
            sizes.entry((rank, to, tag)).or_default().push_back(bytes);
        }
    }
    for (rank, nodes) in trace.ranks.iter().enumerate() {
        let _ = writeln!(text, "\nrank {rank} {{");
        for (place, node) in nodes.iter().enumerate() {
            let action = match &node.action {
                Action::Compute { time, stream } => {
                    format!("calc {} cpu {stream}", (time.0 + 500) / 1_000)
                }
                // Sums cost nothing where no rate is said, and marks are for results only.
                Action::Join | Action::Add { .. } | Action::Mark { .. } => "calc 0".to_owned(),
                Action::Send { to, bytes, tag } => format!("send {bytes}b to {to} tag {tag}"),
                Action::Receive { from, tag } => {
                    let left = sizes.get_mut(&(*from, rank as u32, *tag));
                    let bytes = left.and_then(VecDeque::pop_front).unwrap_or(1);
                    format!("recv {bytes}b from {from} tag {tag}")
                }
                Action::Collective { kind, .. } => {
                    return Err(format!("rank {rank} does {}, which GOAL cannot say", kind.name()));
                }
                Action::At(_) | Action::Wait(_) | Action::Elapse(_) => {
                    return Err(format!(
                        "rank {rank} waits for a moment, which GOAL cannot say; a table (`.csv`) can"
                    ));
                }
            };
            let _ = writeln!(text, "l{place}: {action}");
        }
        for (place, node) in nodes.iter().enumerate() {
            for before in &node.after {
                let _ = writeln!(text, "l{place} requires l{before}");
            }
            for begun in &node.after_begin {
                let _ = writeln!(text, "l{place} irequires l{begun}");
            }
        }
        text += "}\n";
    }
    Ok(text)
}

struct Reader {
    ranks: Vec<Vec<Node>>,
    open: Option<usize>,
    labels: BTreeMap<String, u32>,
    first: bool,
}

impl Reader {
    fn line(&mut self, line: &[Word<'_>]) -> Result<(), TextError> {
        let texts: Vec<&str> = line.iter().map(|word| word.text).collect();
        match (self.open, texts.as_slice()) {
            (None, ["num_ranks", _]) if self.first => {
                self.first = false;
                let count = line[1].number("the number of ranks")?;
                if !(1..=1 << 24).contains(&count) {
                    let message = format!("the number of ranks is {count}; expected 1 to 2^24");
                    return Err(TextError::at(&line[1], message));
                }
                self.ranks = vec![Vec::new(); count as usize];
                Ok(())
            }
            (None, ["rank", _, "{", ..]) => {
                let rank = line[1].number("the rank")? as usize;
                if rank >= self.ranks.len() {
                    let message =
                        format!("rank {rank} is out of range; there are {}", self.ranks.len());
                    return Err(TextError::at(&line[1], message));
                }
                self.open = Some(rank);
                self.labels.clear();
                if line.len() > 3 { self.line(&line[3..]) } else { Ok(()) }
            }
            (Some(_), ["}"]) => {
                self.open = None;
                Ok(())
            }
            (Some(rank), [label, rest @ ..]) if label.ends_with(':') && !rest.is_empty() => {
                let label = label.trim_end_matches(':');
                let action = action(&line[1..], rest)?;
                let place = self.ranks[rank].len() as u32;
                self.ranks[rank].push(Node::new(action, Vec::new()));
                if self.labels.insert(label.to_owned(), place).is_some() {
                    return Err(TextError::at(&line[0], format!("label `{label}` is given twice")));
                }
                Ok(())
            }
            (Some(rank), [_, how @ ("requires" | "irequires"), _]) => {
                let [node, before] = [self.place(&line[0])?, self.place(&line[2])?];
                let node = &mut self.ranks[rank][node as usize];
                let list = if *how == "requires" { &mut node.after } else { &mut node.after_begin };
                list.push(before);
                Ok(())
            }
            (_, _) => {
                let expected = match self.open {
                    None if self.first => "`num_ranks N`",
                    None => "`rank I {`",
                    Some(_) => "`LABEL: send|recv|calc …`, `A requires B`, `A irequires B` or `}`",
                };
                let message = format!("`{}` is unknown; expected {expected}", texts.join(" "));
                Err(TextError::at(&line[0], message))
            }
        }
    }

    fn place(&self, label: &Word<'_>) -> Result<u32, TextError> {
        let unknown = || TextError::at(label, format!("label `{}` is unknown", label.text));
        self.labels.get(label.text).copied().ok_or_else(unknown)
    }
}

/// `send 1b to 2 tag 0`, `recv 1b from 0 tag 0`, `calc 100`, each with `cpu C` and `nic K` behind.
fn action(line: &[Word<'_>], texts: &[&str]) -> Result<Action, TextError> {
    let option = |name: &str| {
        let place = texts.iter().position(|text| *text == name)?;
        line.get(place + 1)
    };
    let number = |word: Option<&Word<'_>>, what: &str| match word {
        Some(word) => word.number(what),
        None => Err(TextError::at(&line[0], format!("{what} is missing"))),
    };
    let bytes = |word: &Word<'_>| {
        let text = word.text.strip_suffix('b').unwrap_or(word.text);
        let wrong = || TextError::at(word, format!("`{}` is no size like `100b`", word.text));
        text.parse::<u64>().map_err(|_| wrong())
    };
    let tag = option("tag").map_or(Ok(0), |word| word.number("the tag"))?;
    match texts {
        ["send", _, "to", ..] => {
            let to = number(option("to"), "the receiver")? as u32;
            Ok(Action::Send { to, bytes: bytes(&line[1])?, tag })
        }
        ["recv", _, "from", ..] => {
            bytes(&line[1])?;
            let from = number(option("from"), "the sender")? as u32;
            Ok(Action::Receive { from, tag })
        }
        ["calc", _, ..] => {
            let nanos = line[1].number("the time in nanoseconds")?;
            let stream = option("cpu").map_or(Ok(0), |word| word.number("the cpu"))?;
            Ok(Action::Compute { time: Span::from_nanos(nanos), stream: stream as u8 })
        }
        _ => {
            let message = format!(
                "`{}` is unknown; expected `send SIZEb to R tag T`, `recv SIZEb from R tag T` or `calc NS`",
                texts.join(" ")
            );
            let place = line.first();
            Err(place.map_or(TextError { line: 0, column: 0, message: message.clone() }, |word| {
                TextError::at(word, message)
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "num_ranks 2\n\nrank 0 {\nl1: calc 100 cpu 1\nl2: send 10b to 1 tag 5\n\
        l2 requires l1\n}\nrank 1 {\nl1: recv 10b from 0 tag 5\nl2: calc 7\nl2 irequires l1\n}\n";

    /// Sends, receives, calculations and both kinds of requirements.
    #[test]
    fn schedules_are_read() {
        assert!(is_one(TWO));
        let trace = parse(TWO).unwrap();
        assert_eq!(
            trace.ranks[0][0].action,
            Action::Compute { time: Span::from_nanos(100), stream: 1 }
        );
        assert_eq!(trace.ranks[0][1].after, [0]);
        assert_eq!(trace.ranks[1][0].action, Action::Receive { from: 0, tag: 5 });
        assert_eq!(trace.ranks[1][1].after_begin, [0]);
    }

    /// What is written is read back as it was, whole nanoseconds.
    #[test]
    fn schedules_are_written() {
        let trace = parse(TWO).unwrap();
        assert_eq!(parse(&write(&trace).unwrap()).unwrap(), trace);
        let waits = Node::new(Action::Wait(Span(1)), Vec::new());
        let error = write(&Trace { ranks: vec![vec![waits]], is_service: false }).unwrap_err();
        assert!(error.starts_with("rank 0 waits for a moment"), "{error}");
    }

    /// Mistakes name their place and what was expected.
    #[test]
    fn mistakes_name_their_place() {
        for (from, to, expected) in [
            ("num_ranks 2", "num_ranks x", "1:11: the number of ranks"),
            ("rank 1 {", "rank 2 {", "8:6: rank 2 is out of range; there are 2"),
            ("send 10b", "sent 10b", "5:5: `sent 10b to 1 tag 5` is unknown; expected `send"),
            ("l2 requires l1", "l2 requires l9", "6:13: label `l9` is unknown"),
            ("l2: send", "l1: send", "5:1: label `l1` is given twice"),
            ("irequires l1\n}\n", "irequires l1\n", "0:0: rank 1 is not closed"),
        ] {
            let error = parse(&TWO.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
