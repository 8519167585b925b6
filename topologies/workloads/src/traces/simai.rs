//! SimAI and AICB workload files (`formats.md`): a training iteration as layers with their computing and collectives.
//!
//! All ranks do the same: forward through the layers, then back through them. A layer's forward and input-gradient
//! collectives are waited for; that of its weight gradients goes on while the layers before it are computed, and is
//! waited for at the end only. Collectives without a suffix are of the tensor-parallel group, for weight gradients of
//! the data-parallel group; `_EP` are of the expert-parallel group, `_DP_EP` of the ranks that have the same experts. Pipeline
//! stages are not told apart in such files: as in SimAI's packet-level mode, every rank does all layers.

use std::collections::BTreeMap;
use std::sync::Arc;

use fabric::units::Span;
use topologies::text::{TextError, Word, words};

use crate::collective::Kind;
use crate::traces::writer::Writer;
use crate::traces::{Action, Trace};

/// How ranks are grouped: tensor-parallel ranks are neighbours, then come expert-parallel ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Groups {
    /// Ranks in all.
    pub ranks: u32,
    /// Tensor-parallel ranks.
    pub tensor: u32,
    /// Expert-parallel ranks.
    pub expert: u32,
}

/// Which group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Which {
    All,
    Tensor,
    Data,
    Expert,
    SameExperts,
}

impl Groups {
    pub(super) fn check(&self) -> Result<(), String> {
        let Groups { ranks, tensor, expert } = *self;
        if tensor == 0
            || expert == 0
            || !u64::from(ranks).is_multiple_of(u64::from(tensor) * u64::from(expert))
        {
            return Err(format!(
                "{ranks} ranks are no whole groups of {tensor} tensor-parallel times {expert} expert-parallel ones"
            ));
        }
        Ok(())
    }

    /// The members of a rank's group.
    pub(super) fn of(&self, rank: u32, which: Which) -> Vec<u32> {
        let Groups { ranks, tensor, expert } = *self;
        let (within, data) = (rank % tensor, rank / tensor);
        let at = |data: u32| data * tensor + within;
        let all = ranks / tensor;
        match which {
            Which::All => (0..ranks).collect(),
            Which::Tensor => (data * tensor..(data + 1) * tensor).collect(),
            Which::Data => (0..all).map(at).collect(),
            Which::Expert => {
                let first = data - data % expert;
                (first..first + expert).map(at).collect()
            }
            Which::SameExperts => (data % expert..all).step_by(expert as usize).map(at).collect(),
        }
    }
}

/// Computing, then a collective.
#[derive(Clone, Copy, Debug)]
struct Part {
    time: Span,
    collective: Option<(Kind, u64, Which)>,
}

struct Layer {
    forward: Part,
    input: Part,
    weight: Part,
    update: Span,
}

/// A file.
pub struct Iteration {
    layers: Vec<Layer>,
    /// The ranks that the file was made for, where it says.
    pub ranks: Option<u32>,
    /// Tensor-parallel ranks; `None`: the file is of single collectives over all ranks.
    pub tensor: Option<u32>,
    /// Expert-parallel ranks.
    pub expert: u32,
}

/// Whether `text` looks like such a file.
pub fn is_one(text: &str) -> bool {
    matches!(text.split_whitespace().next(), Some("HYBRID_TRANSFORMER_FWD_IN_BCKWD" | "MICRO"))
}

/// Reads a file.
///
/// # Errors
/// [`TextError`] with the place of what cannot be read.
pub fn parse(text: &str) -> Result<Iteration, TextError> {
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(number, line)| words(line, number + 1))
        .filter(|line| !line.is_empty());
    let whole = |message: &str| TextError { line: 0, column: 0, message: message.to_owned() };
    let head = lines.next().ok_or_else(|| whole("the file is empty"))?;
    let option = |name: &str| match head.iter().position(|word| word.text == name) {
        None => Ok(None),
        Some(place) => match head.get(place + 1) {
            Some(word) => word.number(name).map(Some),
            None => Err(TextError::at(&head[place], format!("`{name}` has no value"))),
        },
    };
    let micro = head[0].text == "MICRO";
    let tensor = option("model_parallel_NPU_group:")?.unwrap_or(1).max(1) as u32;
    let mut iteration = Iteration {
        layers: Vec::new(),
        ranks: option("all_gpus:")?.map(|ranks| ranks as u32),
        tensor: (!micro).then_some(tensor),
        expert: option("ep:")?.unwrap_or(1).max(1) as u32,
    };
    let count = lines.next().ok_or_else(|| whole("the number of layers is missing"))?;
    // Files of the tools themselves announce other numbers than they list, so this one decides nothing.
    count[0].number("the number of layers")?;
    for line in lines {
        iteration.layers.push(layer(&line, micro)?);
    }
    if iteration.layers.is_empty() {
        return Err(whole("there is no layer"));
    }
    Ok(iteration)
}

fn layer(line: &[Word<'_>], micro: bool) -> Result<Layer, TextError> {
    let [_, _, f, fk, fb, i, ik, ib, w, wk, wb, update] = line else {
        let message = format!(
            "the layer has {} words; expected 12: name, dependency, three times computing, collective and bytes, update",
            line.len()
        );
        return Err(TextError::at(&line[0], message));
    };
    let part = |time: &Word<'_>, kind: &Word<'_>, bytes: &Word<'_>, usual: Which| {
        let usual = if micro { Which::All } else { usual };
        let time = Span::from_nanos(time.number("the time in nanoseconds")?);
        let bytes = bytes.number("the number of bytes")?;
        let kind = collective(kind, usual)?.filter(|_| bytes > 0);
        Ok::<Part, TextError>(Part {
            time,
            collective: kind.map(|(kind, which)| (kind, bytes, which)),
        })
    };
    Ok(Layer {
        forward: part(f, fk, fb, Which::Tensor)?,
        input: part(i, ik, ib, Which::Tensor)?,
        weight: part(w, wk, wb, Which::Data)?,
        update: Span::from_nanos(update.number("the time in nanoseconds")?),
    })
}

/// `ALLREDUCE`, `ALLTOALL_EP`, `NONE`, …
fn collective(word: &Word<'_>, usual: Which) -> Result<Option<(Kind, Which)>, TextError> {
    let (name, which) = if let Some(name) = word.text.strip_suffix("_DP_EP") {
        (name, Which::SameExperts)
    } else if let Some(name) = word.text.strip_suffix("_EP") {
        (name, Which::Expert)
    } else {
        (word.text, usual)
    };
    let kind = match name {
        "NONE" => return Ok(None),
        "ALLREDUCE" => Kind::AllReduce,
        "ALLGATHER" => Kind::AllGather,
        "REDUCESCATTER" => Kind::ReduceScatter,
        "ALLTOALL" => Kind::AllToAll,
        "BROADCAST" => Kind::Broadcast,
        _ => {
            let message = format!(
                "the collective is `{}`; expected NONE, ALLREDUCE, ALLGATHER, REDUCESCATTER, ALLTOALL or BROADCAST, \
                 with _EP or _DP_EP behind it where it is of experts",
                word.text
            );
            return Err(TextError::at(word, message));
        }
    };
    Ok(Some((kind, which)))
}

/// The groups of a rank, each with its members.
type Members = BTreeMap<Which, Arc<[u32]>>;

/// A part of a layer; whether its collective is waited for.
fn write(writer: &mut Writer, groups: &Members, part: &Part, waits: bool, name: &'static str) {
    writer.compute(part.time);
    let Some((kind, bytes, which)) = part.collective else { return };
    let members = Arc::clone(&groups[&which]);
    // What cannot be cut for all ranks is not worth a collective.
    let bytes = bytes.max(members.len() as u64 * members.len() as u64);
    let name = name.into();
    let action = Action::Collective { kind, bytes, members, root: 0, name, matrix: None };
    match waits {
        true => writer.blocking(action),
        false => writer.behind(action),
    }
}

impl Iteration {
    /// Layers.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// What all ranks do; `layers` leaves the first so many.
    ///
    /// # Errors
    /// When the ranks are no whole groups.
    pub fn trace(&self, groups: &Groups, layers: Option<u32>) -> Result<Trace, String> {
        groups.check()?;
        let most = layers.map_or(self.layers.len(), |layers| layers as usize);
        let layers = &self.layers[..most.min(self.layers.len())];
        // Ranks of a group share the list of its members.
        let mut known: BTreeMap<Vec<u32>, Arc<[u32]>> = BTreeMap::new();
        let ranks = (0..groups.ranks).map(|rank| {
            let all = [Which::All, Which::Tensor, Which::Data, Which::Expert, Which::SameExperts];
            let group = |which: Which| {
                let members = groups.of(rank, which);
                let shared = known.entry(members).or_insert_with_key(|m| Arc::from(m.as_slice()));
                (which, Arc::clone(shared))
            };
            let groups: Members = all.map(group).into_iter().collect();
            let mut writer = Writer::default();
            for layer in layers {
                write(&mut writer, &groups, &layer.forward, true, "forward");
            }
            for layer in layers.iter().rev() {
                write(&mut writer, &groups, &layer.input, true, "input gradients");
                write(&mut writer, &groups, &layer.weight, false, "weight gradients");
            }
            writer.join();
            writer.compute(Span(layers.iter().map(|layer| layer.update.0).sum()));
            writer.nodes
        });
        Ok(Trace { ranks: ranks.collect(), is_service: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "HYBRID_TRANSFORMER_FWD_IN_BCKWD model_parallel_NPU_group: 2 ep: 2 all_gpus: 8\n2\n\
        a -1 10 ALLREDUCE 4096 20 NONE 0 30 REDUCESCATTER 8192 5\n\
        b -1 11 ALLTOALL_EP 4096 21 ALLGATHER 4096 31 ALLREDUCE_DP_EP 8192 5\n";

    /// Forward, then back; collectives of weight gradients wait for nobody but their group's last one.
    #[test]
    fn layers_become_nodes() {
        let iteration = parse(TWO).unwrap();
        assert_eq!((iteration.ranks, iteration.tensor, iteration.expert), (Some(8), Some(2), 2));
        let groups = Groups { ranks: 8, tensor: 2, expert: 2 };
        let trace = iteration.trace(&groups, None).unwrap();
        let rank = &trace.ranks[3];
        let members = |node: usize| match &rank[node].action {
            Action::Collective { members, .. } => members.to_vec(),
            other => panic!("{other:?}"),
        };
        // compute, all-reduce, compute, all-to-all; compute, all-gather, compute, all-reduce, compute, compute, …
        assert_eq!(members(1), [2, 3]);
        assert_eq!(members(3), [1, 3]);
        assert_eq!(members(5), [2, 3]);
        assert_eq!(members(7), [3, 7]);
        assert_eq!(members(10), [1, 3, 5, 7]);
        assert_eq!(rank[8].after, [6], "computing goes on behind the weight gradients");
        assert_eq!(rank[11].after, [9, 7, 10], "the end waits for all");
        assert_eq!(rank[12].action, Action::Compute { time: Span::from_nanos(10), stream: 0 });
    }

    /// Mistakes name their place; ranks that are no whole groups are refused.
    #[test]
    fn mistakes_name_their_place() {
        for (from, to, expected) in [
            (
                "ALLREDUCE 4096",
                "ALLREDUCED 4096",
                "3:9: the collective is `ALLREDUCED`; expected NONE",
            ),
            ("a -1 10", "a -1 x", "3:6: the time in nanoseconds"),
            ("\n2\n", "\nx\n", "2:1: the number of layers"),
            (" 8192 5\nb", " 8192\nb", "3:1: the layer has 11 words; expected 12"),
        ] {
            let error = parse(&TWO.replacen(from, to, 1)).err().unwrap().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let groups = Groups { ranks: 6, tensor: 2, expert: 2 };
        let error = parse(TWO).unwrap().trace(&groups, None).unwrap_err();
        assert!(error.starts_with("6 ranks are no whole groups of 2"), "{error}");
    }
}
