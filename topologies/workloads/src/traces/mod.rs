//! Traces of other tools: what each rank does, and after what.
//!
//! - [`goal`]: GOAL text (LogGOPSim, ATLAHS); [`msccl`]: MSCCL XML; [`chakra`]: Chakra execution traces, protobuf and JSON;
//!   [`simai`]: SimAI and AICB workload files; [`aicb`]: AICB's lists of communication; [`csv`]: our own table
//! - `expand`: collectives as messages; `formula`: collectives without packets; `writer`: writes down what a rank does; this file: what they have in common, and how it becomes tasks

pub mod aicb;
pub mod chakra;
pub mod csv;
mod expand;
mod formula;
pub mod goal;
pub mod msccl;
pub mod simai;
pub(crate) mod writer;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use fabric::ids::HostId;
use fabric::units::{Span, Time};

use crate::Workload;
use crate::algorithms::Recipe;
use crate::collective::Kind;
use crate::plan::{CollectiveId, Plan, TaskId};
use crate::tasks::{Costs, Task};

/// What a rank does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Nothing: a place where others meet.
    Join,
    /// Computes; on one stream one thing at a time.
    Compute {
        /// How long.
        time: Span,
        /// Which stream.
        stream: u8,
    },
    /// Adds up received data.
    Add {
        /// How much.
        bytes: u64,
    },
    /// Posts a message.
    Send {
        /// Receiver.
        to: u32,
        /// Payload.
        bytes: u64,
        /// Tells messages between two ranks apart; of equal ones the first sent is the first received.
        tag: u64,
    },
    /// Has a message.
    Receive {
        /// Sender.
        from: u32,
        /// As sent.
        tag: u64,
    },
    /// Takes part in a collective.
    Collective {
        /// Which.
        kind: Kind,
        /// Buffer, as nccl-tests counts it.
        bytes: u64,
        /// The ranks, in order; the n-th collective of the same ranks is the same for all of them.
        members: Arc<[u32]>,
        /// The rank that has, or gets, all: a number within `members`.
        root: u32,
        /// What it is called in reports.
        name: Cow<'static, str>,
        /// Bytes from each rank to each, row by row, of an all-to-all that is not uniform.
        matrix: Option<Arc<[u64]>>,
    },
    /// A moment comes.
    At(Time),
    /// Time passes.
    Wait(Span),
    /// Time passes that counts as communicating.
    Elapse(Span),
    /// The stretch from the end of another node, which this one comes after, until now is worth telling.
    Mark {
        /// The node.
        since: u32,
        /// What the stretch is called.
        name: Cow<'static, str>,
    },
}

/// An action with what it waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// What is done.
    pub action: Action,
    /// Nodes of the same rank that have to be done.
    pub after: Vec<u32>,
    /// Nodes of the same rank that have to have begun.
    pub after_begin: Vec<u32>,
}

impl Node {
    /// An action after nodes that are done.
    pub fn new(action: Action, after: Vec<u32>) -> Node {
        Node { action, after, after_begin: Vec::new() }
    }
}

/// What all ranks do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trace {
    /// Of each rank its nodes; they may wait for later ones.
    pub ranks: Vec<Vec<Node>>,
    /// Ranks ask and serve, so that how long requests take says more than how long each rank computes and waits.
    pub is_service: bool,
}

/// A send and the receive that belongs to it: ranks and nodes.
type Pair = ((u32, u32), (u32, u32), u64);

impl Trace {
    /// The same for each of `ranks`: of a trace of one rank of a program that all of them run.
    ///
    /// # Errors
    /// When it sends messages, whose other ends are not in it.
    pub fn spread(self, ranks: u32) -> Result<Trace, String> {
        let [one] = self.ranks.as_slice() else { return Ok(self) };
        let message =
            |node: &Node| matches!(node.action, Action::Send { .. } | Action::Receive { .. });
        if one.iter().any(message) {
            return Err(
                "a trace of one rank that sends messages cannot be given to others".to_owned()
            );
        }
        let members: Arc<[u32]> = (0..ranks).collect();
        let widen = |node: &Node| {
            let mut node = node.clone();
            if let Action::Collective { members: own, .. } = &mut node.action {
                *own = Arc::clone(&members);
            }
            node
        };
        let one: Vec<Node> = one.iter().map(widen).collect();
        Ok(Trace { ranks: (0..ranks).map(|_| one.clone()).collect(), ..self })
    }

    /// Sends with their receives.
    fn pairs(&self) -> Result<Vec<Pair>, String> {
        let mut sends: BTreeMap<(u32, u32, u64), Vec<(u32, u64)>> = BTreeMap::new();
        let mut receives: BTreeMap<(u32, u32, u64), Vec<u32>> = BTreeMap::new();
        let count = self.ranks.len() as u32;
        for (rank, nodes) in (0..).zip(&self.ranks) {
            for (place, node) in (0..).zip(nodes) {
                let other = match node.action {
                    Action::Send { to, bytes, tag } => {
                        sends.entry((rank, to, tag)).or_default().push((place, bytes));
                        to
                    }
                    Action::Receive { from, tag } => {
                        receives.entry((from, rank, tag)).or_default().push(place);
                        from
                    }
                    _ => continue,
                };
                if other >= count || other == rank {
                    return Err(format!(
                        "rank {rank} exchanges a message with rank {other} of {count}"
                    ));
                }
            }
        }
        let keys: std::collections::BTreeSet<_> = sends.keys().chain(receives.keys()).collect();
        let mut pairs = Vec::new();
        for key in keys {
            let (from, to, tag) = *key;
            let [sent, received] =
                [sends.get(key).map_or(0, Vec::len), receives.get(key).map_or(0, Vec::len)];
            if sent != received {
                return Err(format!(
                    "rank {from} sends {sent} messages of tag {tag} to rank {to}, which receives {received}"
                ));
            }
            let both = sends[key].iter().zip(&receives[key]);
            pairs.extend(
                both.map(|((send, bytes), receive)| ((from, *send), (to, *receive), *bytes)),
            );
        }
        Ok(pairs)
    }

    /// The programs of ranks on `places`, for a fabric of `hosts`. `recipe` says how a collective of a kind, ranks and bytes is
    /// done.
    ///
    /// # Errors
    /// A sentence: messages without another end, collectives that ranks do not agree on, nodes that wait for each other.
    pub fn tasks(
        &self,
        hosts: u32,
        places: &[HostId],
        costs: Costs,
        recipe: impl Fn(Kind, u32, u64, Option<&Arc<[u64]>>) -> Result<Recipe, String>,
    ) -> Result<Workload, String> {
        self.check_order()?;
        let mut plan = Plan::new(places, costs);
        let mut ids: Vec<Vec<Option<TaskId>>> =
            self.ranks.iter().map(|nodes| vec![None; nodes.len()]).collect();
        for ((from, send), (to, receive), bytes) in self.pairs()? {
            let (sent, received) = plan.message((from, to), bytes, false, (&[], &[]))?;
            ids[from as usize][send as usize] = Some(sent);
            ids[to as usize][receive as usize] = Some(received);
        }
        let mut shared = Shared::default();
        for (rank, nodes) in (0..).zip(&self.ranks) {
            let mut entered = BTreeMap::new();
            for (place, node) in nodes.iter().enumerate() {
                let task = match &node.action {
                    Action::Send { .. } | Action::Receive { .. } => continue,
                    Action::Join => plan.task(rank, Task::Join, &[]),
                    Action::Add { bytes } => plan.task(rank, Task::Add { bytes: *bytes }, &[]),
                    Action::Compute { time, stream } => {
                        let task = Task::Compute { time: *time, stream: *stream };
                        plan.task(rank, task, &[])
                    }
                    Action::At(time) => plan.task(rank, Task::At(*time), &[]),
                    Action::Wait(time) => plan.task(rank, Task::Wait(*time), &[]),
                    Action::Elapse(time) => plan.task(rank, Task::Elapse(*time), &[]),
                    Action::Mark { since, name } => {
                        let since = ids[rank as usize][*since as usize];
                        let since = since.expect("a mark comes after what it tells of");
                        let label = plan.label(name);
                        plan.mark(rank, since, label)
                    }
                    Action::Collective { .. } => {
                        let turn = shared.turn(&mut entered, &node.action);
                        let id = shared.collective(rank, &node.action, turn, &mut plan, &recipe)?;
                        plan.enter(rank, id, &[])
                    }
                };
                ids[rank as usize][place] = Some(task);
            }
        }
        shared.complete()?;
        self.depend(&mut plan, &ids);
        if self.is_service {
            plan.forget_times();
        }
        Ok(plan.finish(hosts))
    }

    /// Adds what nodes wait for. A node whose beginning others wait for has a place before it where that is marked.
    fn depend(&self, plan: &mut Plan, ids: &[Vec<Option<TaskId>>]) {
        for (rank, nodes) in (0..).zip(&self.ranks) {
            let id = |node: u32| ids[rank as usize][node as usize].expect("every node is a task");
            let mut begins: BTreeMap<u32, TaskId> = BTreeMap::new();
            for begun in nodes.iter().flat_map(|node| &node.after_begin) {
                if !begins.contains_key(begun) {
                    let begin = plan.task(rank, Task::Join, &[]);
                    plan.depend(rank, id(*begun), begin);
                    begins.insert(*begun, begin);
                }
            }
            for (place, node) in (0..).zip(nodes) {
                let own = begins.get(&place).copied().unwrap_or_else(|| id(place));
                node.after.iter().for_each(|before| plan.depend(rank, own, id(*before)));
                node.after_begin.iter().for_each(|begun| plan.depend(rank, own, begins[begun]));
            }
        }
    }

    /// No node waits for itself by way of others.
    fn check_order(&self) -> Result<(), String> {
        let stuck = |(rank, nodes): (usize, &Vec<Node>)| Some((rank, stuck(nodes)?));
        match self.ranks.iter().enumerate().find_map(stuck) {
            None => Ok(()),
            Some((rank, node)) => {
                Err(format!("rank {rank}: node {node} waits for itself by way of others"))
            }
        }
    }
}

/// A node that waits for itself by way of others.
fn stuck(nodes: &[Node]) -> Option<usize> {
    let before = |node: &Node| node.after.iter().chain(&node.after_begin).copied().collect();
    let befores: Vec<Vec<u32>> = nodes.iter().map(before).collect();
    let mut waits: Vec<usize> = befores.iter().map(Vec::len).collect();
    let mut next = vec![Vec::new(); nodes.len()];
    for (place, befores) in befores.iter().enumerate() {
        befores.iter().for_each(|before| next[*before as usize].push(place));
    }
    let mut ready: Vec<usize> = (0..nodes.len()).filter(|node| waits[*node] == 0).collect();
    while let Some(node) = ready.pop() {
        for after in &next[node] {
            waits[*after] -= 1;
            if waits[*after] == 0 {
                ready.push(*after);
            }
        }
    }
    waits.iter().position(|waits| *waits > 0)
}

/// A collective that is the same for all its ranks: who they are, and how many of them came before.
type Turn = (Arc<[u32]>, u32);

/// Collectives while ranks are found that take part in them.
#[derive(Default)]
struct Shared {
    /// Each with its kind and bytes, and how many ranks have come to it.
    known: BTreeMap<Turn, Common>,
}

type Common = (CollectiveId, Kind, u64, u32);

impl Shared {
    /// The turn of a rank's next collective.
    fn turn(&self, entered: &mut BTreeMap<Arc<[u32]>, u32>, action: &Action) -> Turn {
        let Action::Collective { members, .. } = action else {
            unreachable!("asked of collectives")
        };
        let count = entered.entry(Arc::clone(members)).or_insert(0);
        *count += 1;
        (Arc::clone(members), *count)
    }

    fn collective(
        &mut self,
        rank: u32,
        action: &Action,
        turn: Turn,
        plan: &mut Plan,
        recipe: impl Fn(Kind, u32, u64, Option<&Arc<[u64]>>) -> Result<Recipe, String>,
    ) -> Result<CollectiveId, String> {
        let Action::Collective { kind, bytes, members, root, name, matrix } = action else {
            unreachable!("asked of collectives")
        };
        if !members.contains(&rank) {
            return Err(format!("rank {rank} takes part in a collective of {members:?}"));
        }
        if let Some((id, known, size, entered)) = self.known.get_mut(&turn) {
            if (*known, *size) != (*kind, *bytes) {
                return Err(format!(
                    "rank {rank} does {} of {bytes} B where others do {} of {size} B",
                    kind.name(),
                    known.name()
                ));
            }
            *entered += 1;
            return Ok(*id);
        }
        let found = recipe(*kind, members.len() as u32, *bytes, matrix.as_ref())?;
        let recipe = Recipe { root: *root, ..found };
        let label = if name.is_empty() { kind.name() } else { name.as_ref() };
        let label = plan.label(&format!("{label} ({})", recipe.algorithm.name()));
        let id = plan.collective(&Arc::new(recipe), members, label)?;
        self.known.insert(turn, (id, *kind, *bytes, 1));
        Ok(id)
    }

    /// All members came to all of them.
    fn complete(&self) -> Result<(), String> {
        let few = |(turn, known): &(&Turn, &Common)| known.3 < turn.0.len() as u32;
        match self.known.iter().find(few) {
            None => Ok(()),
            Some(((members, _), (_, kind, bytes, entered))) => Err(format!(
                "{entered} of the {} ranks of {} of {bytes} B come to it",
                members.len(),
                kind.name()
            )),
        }
    }
}
