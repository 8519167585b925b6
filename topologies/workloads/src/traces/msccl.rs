//! MSCCL XML (`formats.md`): a collective as steps of thread blocks. A thread block of a rank sends to one peer and receives
//! from one, over a channel; its steps follow each other, and may wait for steps of others of the same rank.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::collective::Kind;
use crate::traces::{Action, Node, Trace};

/// An algorithm.
pub struct Algorithm {
    /// What it does.
    pub trace: Trace,
    /// Which collective it is, if it is one that bandwidths are known for.
    pub kind: Option<Kind>,
}

/// Whether `text` looks like MSCCL XML.
pub fn is_one(text: &str) -> bool {
    text.trim_start().starts_with("<algo") || text.trim_start().starts_with("<?xml")
}

/// Where a thread block sends and receives.
#[derive(Clone, Copy)]
struct Block {
    rank: u32,
    id: i64,
    send: i64,
    receive: i64,
    channel: u64,
    /// Its last step.
    last: Option<u32>,
}

/// Reads an algorithm for buffers of `bytes`.
///
/// # Errors
/// A sentence with the line of what cannot be read.
pub fn parse(text: &str, bytes: u64) -> Result<Algorithm, String> {
    let mut reader = Reader::from_str(text);
    let mut state = State::default();
    loop {
        let place = reader.buffer_position() as usize;
        let line = text[..place.min(text.len())].matches('\n').count() + 1;
        let event = reader.read_event().map_err(|error| format!("line {line}: {error}"))?;
        match event {
            Event::Start(tag) | Event::Empty(tag) => {
                state.open(&tag, bytes).map_err(|message| format!("line {line}: {message}"))?
            }
            Event::Eof => break,
            _ => {}
        }
    }
    state.finish()
}

#[derive(Default)]
struct State {
    ranks: Vec<Vec<Node>>,
    kind: Option<Kind>,
    chunk: u64,
    rank: u32,
    block: Option<Block>,
    /// The node that a step of a thread block ends with.
    ends: BTreeMap<(u32, i64, i64), u32>,
    /// Nodes that wait for steps of other thread blocks.
    waits: Vec<(u32, u32, i64, i64)>,
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<String, String> {
    let found = tag.try_get_attribute(name).map_err(|error| error.to_string())?;
    let found = found.ok_or_else(|| {
        let tag = tag.name().as_ref().to_owned();
        format!("`{name}` of `<{tag}>` is missing")
    })?;
    Ok(found.value.into_owned())
}

fn number(tag: &BytesStart<'_>, name: &str) -> Result<i64, String> {
    let text = attribute(tag, name)?;
    text.parse().map_err(|_| format!("`{name}` is `{text}`; expected a whole number"))
}

impl State {
    fn open(&mut self, tag: &BytesStart<'_>, bytes: u64) -> Result<(), String> {
        match tag.name().as_ref() {
            "algo" => {
                let (gpus, chunks) = (number(tag, "ngpus")?, number(tag, "nchunksperloop")?);
                if !(2..=65_536).contains(&gpus) || chunks < 1 {
                    return Err(format!(
                        "{gpus} GPUs and {chunks} chunks; expected 2 and 1 at least"
                    ));
                }
                self.ranks = vec![Vec::new(); gpus as usize];
                self.chunk = (bytes / chunks as u64).max(1);
                let name = attribute(tag, "coll").unwrap_or_default();
                let names = [
                    ("allreduce", Kind::AllReduce),
                    ("allgather", Kind::AllGather),
                    ("reduce_scatter", Kind::ReduceScatter),
                    ("reducescatter", Kind::ReduceScatter),
                    ("alltoall", Kind::AllToAll),
                    ("broadcast", Kind::Broadcast),
                    ("reduce", Kind::Reduce),
                ];
                self.kind = names.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
            }
            "gpu" => {
                let rank = number(tag, "id")?;
                if rank < 0 || rank >= self.ranks.len() as i64 {
                    return Err(format!(
                        "GPU {rank} is out of range; there are {}",
                        self.ranks.len()
                    ));
                }
                self.rank = rank as u32;
            }
            "tb" => {
                self.block = Some(Block {
                    rank: self.rank,
                    id: number(tag, "id")?,
                    send: number(tag, "send")?,
                    receive: number(tag, "recv")?,
                    channel: number(tag, "chan")?.max(0) as u64,
                    last: None,
                });
            }
            "step" => self.step(tag)?,
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, rank: u32, action: Action, after: Vec<u32>) -> u32 {
        let nodes = &mut self.ranks[rank as usize];
        nodes.push(Node::new(action, after));
        nodes.len() as u32 - 1
    }

    fn step(&mut self, tag: &BytesStart<'_>) -> Result<(), String> {
        let Some(block) = self.block else {
            return Err("a `<step>` outside of a `<tb>`".to_owned());
        };
        let kind = attribute(tag, "type")?;
        let (number_of, count) = (number(tag, "s")?, number(tag, "cnt")?.max(1) as u64);
        let bytes = self.chunk * count;
        let (receives, sends) = match kind.as_str() {
            "s" => (false, true),
            "r" | "rrc" => (true, false),
            "rs" | "rcs" | "rrs" | "rrcs" => (true, true),
            "cpy" | "re" | "nop" => (false, false),
            _ => {
                return Err(format!(
                    "the step's type is `{kind}`; expected s, r, rs, rcs, rrc, rrs, rrcs, cpy, re or nop"
                ));
            }
        };
        for (does, peer, what) in [(receives, block.receive, "recv"), (sends, block.send, "send")] {
            if does && !(0..self.ranks.len() as i64).contains(&peer) {
                return Err(format!("a step `{kind}` in a `<tb>` whose `{what}` is {peer}"));
            }
        }
        let mut last: Vec<u32> = block.last.into_iter().collect();
        let mut first = None;
        if receives {
            let from = block.receive as u32;
            let node = self.push(block.rank, Action::Receive { from, tag: block.channel }, last);
            (first, last) = (Some(node), vec![node]);
        }
        if matches!(kind.as_str(), "rrc" | "rrs" | "rrcs" | "re") {
            let node = self.push(block.rank, Action::Add { bytes }, last);
            (first, last) = (first.or(Some(node)), vec![node]);
        }
        if sends {
            let to = block.send as u32;
            let action = Action::Send { to, bytes, tag: block.channel };
            let node = self.push(block.rank, action, last);
            (first, last) = (first.or(Some(node)), vec![node]);
        }
        if first.is_none() {
            let node = self.push(block.rank, Action::Join, last);
            (first, last) = (Some(node), vec![node]);
        }
        let (first, end) = (first.expect("a step is a node"), last[0]);
        let (other, step) = (number(tag, "depid")?, number(tag, "deps")?);
        if other >= 0 {
            self.waits.push((block.rank, first, other, step));
        }
        self.ends.insert((block.rank, block.id, number_of), end);
        self.block = Some(Block { last: Some(end), ..block });
        Ok(())
    }

    fn finish(mut self) -> Result<Algorithm, String> {
        if self.ranks.is_empty() {
            return Err("there is no `<algo>`".to_owned());
        }
        for (rank, node, block, step) in self.waits {
            let before = self.ends.get(&(rank, block, step)).ok_or_else(|| {
                format!(
                    "GPU {rank}: a step waits for step {step} of tb {block}, which is not there"
                )
            })?;
            self.ranks[rank as usize][node as usize].after.push(*before);
        }
        Ok(Algorithm { trace: Trace { ranks: self.ranks, is_service: false }, kind: self.kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: &str = r#"<algo name="x" nchunksperloop="2" ngpus="2" coll="allreduce">
  <gpu id="0"><tb id="0" send="1" recv="-1" chan="0">
    <step s="0" type="s" cnt="1" depid="-1" deps="-1"/></tb>
    <tb id="1" send="-1" recv="1" chan="0">
    <step s="0" type="rrc" cnt="2" depid="0" deps="0"/></tb></gpu>
  <gpu id="1"><tb id="0" send="0" recv="0" chan="0">
    <step s="0" type="rrs" cnt="1" depid="-1" deps="-1"/></tb></gpu>
</algo>"#;

    /// Steps become messages of whole chunks, with what they wait for.
    #[test]
    fn steps_become_messages() {
        assert!(is_one(PAIR));
        let Algorithm { trace, kind } = parse(PAIR, 1_000).unwrap();
        assert_eq!(kind, Some(Kind::AllReduce));
        let send = |to, bytes| Action::Send { to, bytes, tag: 0 };
        assert_eq!(trace.ranks[0][0], Node::new(send(1, 500), vec![]));
        assert_eq!(trace.ranks[0][1], Node::new(Action::Receive { from: 1, tag: 0 }, vec![0]));
        assert_eq!(trace.ranks[1][1], Node::new(Action::Add { bytes: 500 }, vec![0]));
        assert_eq!(trace.ranks[1][2], Node::new(send(0, 500), vec![1]));
    }

    /// Mistakes name their line.
    #[test]
    fn mistakes_name_their_line() {
        for (from, to, expected) in [
            ("type=\"s\"", "type=\"q\"", "line 3: the step's type is `q`; expected s, r, rs"),
            ("ngpus=\"2\" ", "", "line 1: `ngpus` of `<algo>` is missing"),
            ("gpu id=\"1\"", "gpu id=\"7\"", "line 6: GPU 7 is out of range; there are 2"),
            (
                "depid=\"0\" deps=\"0\"",
                "depid=\"3\" deps=\"0\"",
                "GPU 0: a step waits for step 0 of tb 3",
            ),
            (
                "send=\"1\" recv",
                "send=\"-1\" recv",
                "line 3: a step `s` in a `<tb>` whose `send` is -1",
            ),
        ] {
            let error = parse(&PAIR.replacen(from, to, 1), 100).err().unwrap();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
