//! Connection matrices of the reference simulator (`.cm`, `formats.md`).
//!
//! Sizes and starts are exact 64-bit integers. Everything that could make a run hang or lie is an error
//! with its place: counts that do not match, hosts out of range, flows to oneself, sizes that are zero
//! or missing, triggers that nobody fires or that wait for themselves.

use std::collections::BTreeMap;
use std::fmt::Write;

use fabric::ids::HostId;
use fabric::units::Time;
use serde::{Deserialize, Serialize};
use topologies::text::{TextError, Word, hint, words};

/// When a flow starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Start {
    /// At a time.
    At(Time),
    /// When a trigger fires: the trigger's place in [`Matrix::triggers`].
    On(usize),
}

/// One flow.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Connection {
    /// The file's `id`, or the flow's place in the file from 1 where it has none.
    pub id: u64,
    /// Marked `msg`: one of several messages of a connection, which share its `id`.
    pub shares_id: bool,
    /// Sending host.
    pub src: HostId,
    /// Receiving host.
    pub dst: HostId,
    /// Payload bytes.
    pub bytes: u64,
    /// Its start.
    pub start: Start,
    /// Trigger fired when the sender has the last acknowledgement.
    pub send_done: Option<usize>,
    /// Trigger fired when the receiver has the last byte.
    pub recv_done: Option<usize>,
    /// Its line.
    pub line: usize,
}

/// How often a trigger starts its flows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum TriggerKind {
    /// At the first firing, all of its flows.
    Oneshot,
    /// At each firing, the next of its flows.
    Multishot,
    /// At this firing, all of its flows.
    Barrier(u64),
}

/// A trigger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trigger {
    /// The file's `id`.
    pub id: u64,
    /// What it does.
    pub kind: TriggerKind,
    /// Its line.
    pub line: usize,
}

/// A matrix.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Matrix {
    /// Number of hosts it is written for.
    pub nodes: u32,
    /// Flows, in order.
    pub connections: Vec<Connection>,
    /// Triggers, in order.
    pub triggers: Vec<Trigger>,
    /// Links that are not there.
    pub failures: Vec<Failure>,
}

/// A link that is not there: one of those that lead up from a switch, or down from a core switch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The switch's tier, from 0 next to the hosts.
    pub tier: u8,
    /// Its number within the tier.
    pub switch: u32,
    /// Which of those links.
    pub link: u32,
    /// The line, from 1.
    pub line: usize,
}

impl Matrix {
    /// Keeps the flows whose source and destination are `wanted`.
    pub fn retain(&mut self, wanted: impl Fn(HostId, HostId) -> bool) {
        self.connections.retain(|flow| wanted(flow.src, flow.dst));
    }

    /// The same flows on these of so many hosts.
    pub fn on(&self, places: &[HostId], hosts: u32) -> Matrix {
        let moved = |flow: &Connection| Connection {
            src: places[flow.src.index()],
            dst: places[flow.dst.index()],
            ..flow.clone()
        };
        Matrix {
            nodes: hosts,
            connections: self.connections.iter().map(moved).collect(),
            triggers: self.triggers.clone(),
            failures: self.failures.clone(),
        }
    }

    /// Whether it has nothing but flows that start by time.
    ///
    /// # Errors
    /// A sentence that says what else it has.
    pub fn is_plain(&self) -> Result<(), String> {
        let what = match (self.triggers.is_empty(), self.failures.is_empty()) {
            (true, true) => return Ok(()),
            (false, _) => "triggers",
            (true, false) => "failures",
        };
        Err(format!("the matrix has {what}, which the other form cannot say"))
    }

    /// Writes it in the reference simulator's form.
    pub fn write(&self) -> String {
        let [connections, triggers] = [self.connections.len(), self.triggers.len()];
        let mut text = format!("Nodes {}\nConnections {connections}\n", self.nodes);
        if triggers > 0 {
            let _ = writeln!(text, "Triggers {triggers}");
        }
        if !self.failures.is_empty() {
            let _ = writeln!(text, "Failures {}", self.failures.len());
        }
        let id = |trigger: usize| self.triggers[trigger].id;
        for flow in &self.connections {
            let _ = write!(text, "{}->{} id {}", flow.src, flow.dst, flow.id);
            let _ = match flow.start {
                Start::At(at) => write!(text, " start {}", at.0),
                Start::On(trigger) => write!(text, " trigger {}", id(trigger)),
            };
            let _ = write!(text, " size {}", flow.bytes);
            for (name, trigger) in [("send", flow.send_done), ("recv", flow.recv_done)] {
                if let Some(trigger) = trigger {
                    let _ = write!(text, " {name}_done_trigger {}", id(trigger));
                }
            }
            text += if flow.shares_id { " msg\n" } else { "\n" };
        }
        for trigger in &self.triggers {
            let _ = match trigger.kind {
                TriggerKind::Oneshot => writeln!(text, "trigger id {} oneshot", trigger.id),
                TriggerKind::Multishot => writeln!(text, "trigger id {} multishot", trigger.id),
                TriggerKind::Barrier(count) => {
                    writeln!(text, "trigger id {} barrier count {count}", trigger.id)
                }
            };
        }
        for Failure { tier, switch, link, .. } in &self.failures {
            let tier = TIERS[usize::from(*tier)];
            let _ = writeln!(text, "failure switch_type {tier} switch_id {switch} link_id {link}");
        }
        text
    }
}

/// Tiers of switches as failures name them.
const TIERS: [&str; 3] = ["TOR", "AGG", "CORE"];

const HEADER: [&str; 4] = ["Nodes", "Connections", "Triggers", "Failures"];
const CONNECTION: [&str; 8] =
    ["id", "start", "trigger", "size", "send_done_trigger", "recv_done_trigger", "prio", "msg"];

/// A trigger as named by a flow: its number and place.
type Named<'a> = Option<(u64, Word<'a>)>;

/// A flow before its triggers are looked up.
struct RawConnection<'a> {
    connection: Connection,
    on: Named<'a>,
    send_done: Named<'a>,
    recv_done: Named<'a>,
}

/// A matrix as it stands in its file: every line read, but counts and triggers not yet held to each
/// other.
#[derive(Default)]
pub struct Draft<'a> {
    /// Values of [`HEADER`] and the places of their keys.
    header: [Option<(u64, Word<'a>)>; 4],
    connections: Vec<RawConnection<'a>>,
    triggers: Vec<Trigger>,
    failures: Vec<Failure>,
}

/// Reads a matrix and checks that it can be played.
///
/// # Errors
/// [`TextError`] with the line and column, what was found and what was expected.
pub fn parse(text: &str) -> Result<Matrix, TextError> {
    read(text)?.check()
}

/// Reads every line of a matrix.
///
/// # Errors
/// [`TextError`] for the first line that cannot be read.
pub fn read(text: &str) -> Result<Draft<'_>, TextError> {
    let mut draft = Draft::default();
    for (number, line) in text.lines().enumerate() {
        let words = words(line, number + 1);
        if !words.is_empty() {
            draft.line(&words)?;
        }
    }
    Ok(draft)
}

impl<'a> Draft<'a> {
    fn line(&mut self, words: &[Word<'a>]) -> Result<(), TextError> {
        let first = words[0];
        if let Some(place) = HEADER.iter().position(|key| *key == first.text) {
            return self.header_line(place, words);
        }
        match first.text {
            "trigger" => self.trigger_line(&words[1..], &first),
            "failure" => self.failure_line(&words[1..], &first),
            text if text.contains("->") => self.connection_line(words),
            text => {
                let known = HEADER.iter().copied().chain(["trigger", "failure"]);
                let hint = hint(text, known);
                let message = format!(
                    "found `{text}`; expected a header, SRC->DST, trigger or failure{hint}"
                );
                Err(TextError::at(&first, message))
            }
        }
    }

    fn header_line(&mut self, place: usize, words: &[Word<'a>]) -> Result<(), TextError> {
        let [key, value] = words else {
            let key = &words[0];
            let message = format!("`{}` has {} values; expected one", key.text, words.len() - 1);
            return Err(TextError::at(key, message));
        };
        if self.header[place].is_some() {
            return Err(TextError::at(key, format!("`{}` stands here a second time", key.text)));
        }
        self.header[place] = Some((value.number(key.text)?, *value));
        Ok(())
    }

    fn nodes(&self, at: &Word<'_>) -> Result<u32, TextError> {
        let Some((nodes, place)) = &self.header[0] else {
            return Err(TextError::at(at, "`Nodes` must stand before the first flow"));
        };
        u32::try_from(*nodes).ok().filter(|nodes| *nodes >= 2).ok_or_else(|| {
            TextError::at(place, format!("Nodes is {nodes}; expected 2 to 4294967295"))
        })
    }

    fn connection_line(&mut self, words: &[Word<'a>]) -> Result<(), TextError> {
        let first = &words[0];
        let nodes = self.nodes(first)?;
        let (src, dst) = ends(first, nodes)?;
        let mut raw = RawConnection {
            connection: Connection {
                id: self.connections.len() as u64 + 1,
                shares_id: false,
                src,
                dst,
                bytes: 0,
                start: Start::At(Time::ZERO),
                send_done: None,
                recv_done: None,
                line: first.line,
            },
            on: None,
            send_done: None,
            recv_done: None,
        };
        let mut start = false;
        let mut rest = &words[1..];
        while let [key, after @ ..] = rest {
            if key.text == "msg" {
                // With or without a number, which the reference does not use.
                let numbered = after.first().is_some_and(|next| next.number("msg").is_ok());
                raw.connection.shares_id = true;
                rest = &after[usize::from(numbered)..];
                continue;
            }
            let [value, after @ ..] = after else {
                let message = format!("`{}` has no value; expected a number", key.text);
                return Err(TextError::at(key, message));
            };
            rest = after;
            let number = value.number(key.text)?;
            match key.text {
                "id" => raw.connection.id = number,
                "start" => {
                    start = true;
                    raw.connection.start = Start::At(Time(number));
                }
                "size" if number == 0 || number >= 1 << 62 => {
                    let message = format!("size is {number}; expected 1 to 2^62 bytes");
                    return Err(TextError::at(value, message));
                }
                "size" => raw.connection.bytes = number,
                "trigger" => raw.on = Some((number, *value)),
                "send_done_trigger" => raw.send_done = Some((number, *value)),
                "recv_done_trigger" => raw.recv_done = Some((number, *value)),
                // The reference reads a priority and does not use it either.
                "prio" => {}
                other => {
                    let hint = hint(other, CONNECTION);
                    return Err(TextError::at(key, format!("unknown key `{other}`{hint}")));
                }
            }
        }
        if raw.connection.bytes == 0 {
            return Err(TextError::at(first, "the flow has no `size`"));
        }
        if let (true, Some((_, place))) = (start, &raw.on) {
            return Err(TextError::at(place, "the flow has both `start` and `trigger`"));
        }
        self.connections.push(raw);
        Ok(())
    }

    fn trigger_line(&mut self, words: &[Word<'a>], at: &Word<'_>) -> Result<(), TextError> {
        let form = "expected `trigger id N oneshot|multishot|barrier [count N]`";
        let [key, id, kind, rest @ ..] = words else {
            return Err(TextError::at(at, format!("the trigger is cut short; {form}")));
        };
        if key.text != "id" {
            return Err(TextError::at(key, format!("found `{}`; {form}", key.text)));
        }
        let id = id.number("id")?;
        let count = match rest {
            [] => None,
            [key, value] if key.text == "count" => Some((value.number("count")?, *value)),
            [key, ..] => return Err(TextError::at(key, format!("found `{}`; {form}", key.text))),
        };
        let kind = match (kind.text, count) {
            ("oneshot", None) => TriggerKind::Oneshot,
            ("multishot", None) => TriggerKind::Multishot,
            ("barrier", Some((0, place))) => {
                return Err(TextError::at(&place, "count is 0; expected at least 1"));
            }
            ("barrier", Some((count, _))) => TriggerKind::Barrier(count),
            ("barrier", None) => {
                return Err(TextError::at(kind, "a barrier needs `count N`"));
            }
            (_, Some((_, place))) => {
                return Err(TextError::at(&place, "only a barrier has a `count`"));
            }
            (other, None) => {
                let hint = hint(other, ["oneshot", "multishot", "barrier"]);
                return Err(TextError::at(kind, format!("found `{other}`; {form}{hint}")));
            }
        };
        if let Some(known) = self.triggers.iter().find(|trigger| trigger.id == id) {
            let message = format!("trigger {id} stands already in line {}", known.line);
            return Err(TextError::at(at, message));
        }
        self.triggers.push(Trigger { id, kind, line: at.line });
        Ok(())
    }

    fn failure_line(&mut self, words: &[Word<'a>], at: &Word<'_>) -> Result<(), TextError> {
        let form = "expected `failure switch_type TOR|AGG|CORE switch_id N link_id N`";
        let [a, kind, b, switch, c, link] = words else {
            return Err(TextError::at(
                at,
                format!("the failure has {} words; {form}", words.len()),
            ));
        };
        for (key, name) in [(a, "switch_type"), (b, "switch_id"), (c, "link_id")] {
            if key.text != name {
                return Err(TextError::at(key, format!("found `{}`; {form}", key.text)));
            }
        }
        let Some(tier) = TIERS.iter().position(|tier| *tier == kind.text) else {
            let hint = hint(kind.text, TIERS);
            return Err(TextError::at(kind, format!("found `{}`; {form}{hint}", kind.text)));
        };
        let number = |word: &Word<'_>, what: &str| {
            let number = word.number(what)?;
            u32::try_from(number).map_err(|_| {
                TextError::at(word, format!("{what} is {number}; expected less than 2^32"))
            })
        };
        let (switch, link) = (number(switch, "switch_id")?, number(link, "link_id")?);
        self.failures.push(Failure { tier: tier as u8, switch, link, line: at.line });
        Ok(())
    }

    /// Holds counts, identifiers and triggers to each other.
    ///
    /// # Errors
    /// [`TextError`] for what does not match, is missing, or can never happen.
    pub fn check(self) -> Result<Matrix, TextError> {
        let whole = |message: String| TextError { line: 0, column: 0, message };
        let Some((_, nodes_at)) = &self.header[0] else {
            return Err(whole("`Nodes` is missing".to_owned()));
        };
        let nodes = self.nodes(nodes_at)?;
        if self.header[1].is_none() {
            return Err(whole("`Connections` is missing".to_owned()));
        }
        let found =
            [self.connections.len() as u64, self.triggers.len() as u64, self.failures.len() as u64];
        for ((key, header), found) in HEADER[1..].iter().zip(&self.header[1..]).zip(found) {
            let stated = header.as_ref().map_or(0, |(value, _)| *value);
            if stated != found {
                let message = format!("`{key}` is {stated}, but {found} are listed");
                return Err(match header {
                    Some((_, place)) => TextError::at(place, message),
                    None => whole(message),
                });
            }
        }
        if self.connections.is_empty() {
            return Err(whole("the matrix has no flows".to_owned()));
        }
        let triggers = self.triggers;
        let connections = resolve(self.connections, &triggers)?;
        let matrix = Matrix { nodes, connections, triggers, failures: self.failures };
        matrix.check_ids()?;
        matrix.check_firing()?;
        Ok(matrix)
    }
}

/// Source and destination of `SRC->DST`.
fn ends(word: &Word<'_>, nodes: u32) -> Result<(HostId, HostId), TextError> {
    let (src, dst) = word.text.split_once("->").expect("the caller saw an arrow");
    let offset = src.chars().count() + 2;
    let host = |text, skip: usize| {
        let place = Word { text, line: word.line, column: word.column + skip };
        let number = place.number("the host")?;
        if number >= u64::from(nodes) {
            let message = format!("host {number} is out of range; `Nodes` is {nodes}");
            return Err(TextError::at(&place, message));
        }
        Ok(HostId(number as u32))
    };
    let (src, dst) = (host(src, 0)?, host(dst, offset)?);
    if src == dst {
        return Err(TextError::at(word, format!("host {src} sends to itself")));
    }
    Ok((src, dst))
}

/// Replaces the numbers of triggers by their places.
fn resolve(
    raw: Vec<RawConnection<'_>>,
    triggers: &[Trigger],
) -> Result<Vec<Connection>, TextError> {
    let places: BTreeMap<u64, usize> =
        triggers.iter().enumerate().map(|(place, trigger)| (trigger.id, place)).collect();
    let find = |named: Named<'_>| match named {
        None => Ok(None),
        Some((id, word)) => places.get(&id).copied().map(Some).ok_or_else(|| {
            TextError::at(&word, format!("trigger {id} is not described by any `trigger` line"))
        }),
    };
    raw.into_iter()
        .map(|raw| {
            let mut connection = raw.connection;
            if let Some(place) = find(raw.on)? {
                connection.start = Start::On(place);
            }
            connection.send_done = find(raw.send_done)?;
            connection.recv_done = find(raw.recv_done)?;
            Ok(connection)
        })
        .collect()
}

impl Matrix {
    fn check_ids(&self) -> Result<(), TextError> {
        let mut seen = BTreeMap::new();
        for connection in self.connections.iter().filter(|connection| !connection.shares_id) {
            if let Some(line) = seen.insert(connection.id, connection.line) {
                let message = format!("flow id {} stands already in line {line}", connection.id);
                return Err(TextError { line: connection.line, column: 1, message });
            }
        }
        Ok(())
    }

    /// Plays the triggers without time: every flow must start in the end.
    fn check_firing(&self) -> Result<(), TextError> {
        let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); self.triggers.len()];
        let mut ready = Vec::new();
        for (place, connection) in self.connections.iter().enumerate() {
            match connection.start {
                Start::At(_) => ready.push(place),
                Start::On(trigger) => waiting[trigger].push(place),
            }
        }
        waiting.iter_mut().for_each(|list| list.reverse());
        let mut fired = vec![0u64; self.triggers.len()];
        while let Some(place) = ready.pop() {
            let connection = &self.connections[place];
            for trigger in connection.send_done.into_iter().chain(connection.recv_done) {
                fired[trigger] += 1;
                match self.triggers[trigger].kind {
                    TriggerKind::Multishot => ready.extend(waiting[trigger].pop()),
                    TriggerKind::Oneshot => ready.append(&mut waiting[trigger]),
                    TriggerKind::Barrier(count) if fired[trigger] >= count => {
                        ready.append(&mut waiting[trigger]);
                    }
                    TriggerKind::Barrier(_) => {}
                }
            }
        }
        match waiting.iter().position(|list| !list.is_empty()) {
            None => Ok(()),
            Some(trigger) => Err(self.never_fires(trigger, fired[trigger], &waiting[trigger])),
        }
    }

    fn never_fires(&self, place: usize, fired: u64, waiting: &[usize]) -> TextError {
        let trigger = &self.triggers[place];
        let named = |connection: &&Connection| {
            connection.send_done == Some(place) || connection.recv_done == Some(place)
        };
        let firing = self.connections.iter().filter(named).count();
        let flow = self.connections[*waiting.last().expect("someone waits")].id;
        let reason = match trigger.kind {
            _ if firing == 0 => "no flow fires it".to_owned(),
            TriggerKind::Barrier(count) if firing < count as usize => {
                format!("its count is {count}, but only {firing} flows fire it")
            }
            TriggerKind::Multishot if fired > 0 => {
                format!("it fires {fired} times and more flows wait for it")
            }
            _ => "the flows that fire it wait for it themselves".to_owned(),
        };
        let message = format!("trigger {} never starts flow {flow}: {reason}", trigger.id);
        TextError { line: trigger.line, column: 1, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Failures are read; what is written is read back, places apart.
    #[test]
    fn matrices_are_read_back() {
        let text = "Nodes 8\nConnections 2\nTriggers 1\nFailures 1\n0->1 id 1 start 7 size 9 send_done_trigger 5\n\
            1->2 id 2 trigger 5 size 3\ntrigger id 5 barrier count 1\n\
            failure switch_type AGG switch_id 3 link_id 1\n";
        let matrix = parse(text).unwrap();
        let Failure { tier, switch, link, .. } = matrix.failures[0];
        assert_eq!((tier, switch, link), (1, 3, 1));
        assert_eq!(matrix.write(), text);
        for (from, to, expected) in [
            ("AGG", "AG", "8:21: found `AG`; expected `failure"),
            ("link_id 1", "link_id", "8:1: the failure has 5 words"),
            ("Failures 1", "Failures 2", "4:10: `Failures` is 2, but 1 are listed"),
        ] {
            let error = parse(&text.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
