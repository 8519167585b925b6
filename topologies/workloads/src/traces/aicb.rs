//! AICB's lists of communication (`.csv`, `physical`): what a rank's collectives are, one after the other.
//!
//! All ranks do the same. Groups are those of Megatron: tensor-parallel ranks are neighbours, data-parallel ones have the same
//! place among them. Such lists have no computing but where they were measured (`computation` with a time).

use std::collections::BTreeMap;
use std::sync::Arc;

use fabric::units::Span;
use topologies::text::{TextError, Word};

use super::csv::split;
use super::simai::{Groups, Which};
use super::writer::Writer;
use super::{Action, Trace};
use crate::collective::Kind;

/// A list.
pub struct List {
    rows: Vec<Row>,
    /// Ranks that it says it is made for.
    pub ranks: Option<u32>,
    /// Tensor-parallel ranks, where it says.
    pub tensor: Option<u32>,
    /// Expert-parallel ranks, where it says.
    pub expert: Option<u32>,
}

enum Row {
    Compute(Span),
    Collective(Kind, u64, Which),
}

/// Most times that a row may stand for.
const MOST_REPEATS: u64 = 1 << 20;

/// Whether `text` looks like such a list.
pub fn is_one(text: &str) -> bool {
    text.lines().take(2).any(|line| line.starts_with("comm_type,comm_group,"))
}

/// Reads a list.
///
/// # Errors
/// [`TextError`] with the place of what cannot be read.
pub fn parse(text: &str) -> Result<List, TextError> {
    let mut list = List { rows: Vec::new(), ranks: None, tensor: None, expert: None };
    let mut columns: Vec<String> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let cells = split(line, number + 1);
        match cells[0].text {
            "" => {}
            "comm_type" => columns = cells.iter().map(|cell| cell.text.to_owned()).collect(),
            head if head.starts_with("[rank") => {
                let last = head.trim_end_matches(']').rsplit("rank").next().unwrap_or_default();
                list.ranks = last.parse::<u32>().ok().map(|last| last + 1);
            }
            _ if columns.is_empty() => {
                return Err(TextError::at(&cells[0], "expected the columns, from `comm_type` on"));
            }
            _ => list.row(&columns, &cells)?,
        }
    }
    if list.rows.is_empty() {
        let message = "there is no collective".to_owned();
        return Err(TextError { line: 0, column: 0, message });
    }
    Ok(list)
}

impl List {
    fn row(&mut self, columns: &[String], cells: &[Word<'_>]) -> Result<(), TextError> {
        let cell = |name: &str| {
            let place = columns.iter().position(|column| column == name)?;
            cells.get(place).filter(|cell| !matches!(cell.text, "" | "None"))
        };
        let missing = |name: &str| TextError::at(&cells[0], format!("`{name}` is missing"));
        let kind = match cells[0].text.trim_start_matches("CommType.") {
            "epoch_end" => return Ok(()),
            "computation" => {
                let Some(time) = cell("_elapsed_time") else { return Ok(()) };
                let milliseconds = time.text.parse::<f64>().ok().filter(|time| *time >= 0.0);
                let milliseconds = milliseconds.ok_or_else(|| {
                    TextError::at(
                        time,
                        format!("the time is `{}`; expected milliseconds", time.text),
                    )
                })?;
                self.rows.push(Row::Compute(Span((milliseconds * 1e9) as u64)));
                return Ok(());
            }
            "all_reduce" => Kind::AllReduce,
            "all_gather" | "all_gather_into_tensor" => Kind::AllGather,
            "reduce_scatter" | "reduce_scatter_tensor" => Kind::ReduceScatter,
            "all_to_all" => Kind::AllToAll,
            "broadcast" => Kind::Broadcast,
            "reduce" => Kind::Reduce,
            "gather" => Kind::Gather,
            "scatter" => Kind::Scatter,
            "barrier" => Kind::Barrier,
            other => {
                let message = format!(
                    "the communication is `{other}`; collectives, computation and epoch_end are read"
                );
                return Err(TextError::at(&cells[0], message));
            }
        };
        let size =
            cell("comm_group_size").map(|cell| cell.number("the group's size")).transpose()?;
        let size = size.map(|size| size as u32);
        let sized = columns.iter().any(|column| column == "comm_group_size");
        let group = match cell("comm_group").map(|cell| cell.text.trim_start_matches("CommGroup."))
        {
            Some("tp_group") => {
                self.tensor = self.tensor.max(size);
                Which::Tensor
            }
            Some("dp_group") if sized => Which::Data,
            Some("ep_group") => {
                self.expert = self.expert.max(size);
                Which::Expert
            }
            // Lists without sizes are of single collectives over all ranks.
            Some("dp_group" | "all") | None => Which::All,
            Some(other) => {
                let message =
                    format!("the group is `{other}`; expected tp_group, dp_group, ep_group or all");
                return Err(TextError::at(&cells[1], message));
            }
        };
        let bytes = match cell("msg_size") {
            Some(bytes) => bytes.number("the size")?,
            None if kind == Kind::Barrier => 1,
            None => return Err(missing("msg_size")),
        };
        let count = cell("count").map_or(Ok(1), |count| count.number("the count"))?;
        if let (true, Some(cell)) = (count > MOST_REPEATS, cell("count")) {
            let message = format!("the count is {count}; expected at most {MOST_REPEATS}");
            return Err(TextError::at(cell, message));
        }
        self.rows.extend((0..count).map(|_| Row::Collective(kind, bytes, group)));
        Ok(())
    }

    /// What all of `ranks` do, of which so many share matrices and experts.
    ///
    /// # Errors
    /// When the ranks are no whole groups.
    pub fn trace(&self, ranks: u32, tensor: u32, expert: u32) -> Result<Trace, String> {
        let groups = Groups { ranks, tensor, expert };
        groups.check()?;
        let mut known: BTreeMap<Vec<u32>, Arc<[u32]>> = BTreeMap::new();
        let rank = |rank: u32| {
            let mut members = |which: Which| {
                let list = groups.of(rank, which);
                let shared =
                    known.entry(list).or_insert_with_key(|list| Arc::from(list.as_slice()));
                Arc::clone(shared)
            };
            let mut writer = Writer::default();
            for row in &self.rows {
                match row {
                    Row::Compute(time) => writer.compute(*time),
                    Row::Collective(kind, bytes, which) => {
                        let members = members(*which);
                        // What cannot be cut for all ranks is not worth a collective.
                        let bytes = (*bytes).max(members.len() as u64 * members.len() as u64);
                        let name = "".into();
                        let matrix = None;
                        let kind = *kind;
                        let action =
                            Action::Collective { kind, bytes, members, root: 0, name, matrix };
                        writer.blocking(action);
                    }
                }
            }
            writer.nodes
        };
        Ok(Trace { ranks: (0..ranks).map(rank).collect(), is_service: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: &str = "[rank0 ~ rank7]\n\
        comm_type,comm_group,comm_group_size,msg_size,stage,_elapsed_time,count\n\
        CommType.all_gather,CommGroup.tp_group,2,4096,forward,None,2\n\
        CommType.computation,None,None,None,forward,1.5,1\n\
        CommType.reduce_scatter,CommGroup.dp_group,4,8192,backward,None,1\n\
        CommType.epoch_end,None,None,None,end,None,1\n";

    /// Groups are as Megatron makes them; counts repeat; computing that was measured takes its time.
    #[test]
    fn lists_are_read() {
        assert!(is_one(SOME));
        let list = parse(SOME).unwrap();
        assert_eq!((list.ranks, list.tensor, list.expert), (Some(8), Some(2), None));
        let trace = list.trace(8, 2, 1).unwrap();
        let rank = &trace.ranks[5];
        assert_eq!(rank.len(), 4);
        let members = |node: usize| match &rank[node].action {
            Action::Collective { members, .. } => members.to_vec(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (members(0), members(1), members(3)),
            (vec![4, 5], vec![4, 5], vec![1, 3, 5, 7])
        );
        assert_eq!(rank[2].action, Action::Compute { time: Span::from_micros(1_500), stream: 0 });
        assert!(list.trace(7, 2, 1).unwrap_err().starts_with("7 ranks are no whole groups"));
    }

    /// Mistakes name their place.
    #[test]
    fn mistakes_name_their_place() {
        for (from, to, expected) in [
            ("CommType.all_gather", "CommType.isend", "3:1: the communication is `isend`"),
            ("CommGroup.tp_group", "CommGroup.xp_group", "3:21: the group is `xp_group`"),
            ("4096", "x", "3:42: the size is `x`"),
            ("1.5", "long", "4:45: the time is `long`"),
        ] {
            let error = parse(&SOME.replacen(from, to, 1)).err().unwrap().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
