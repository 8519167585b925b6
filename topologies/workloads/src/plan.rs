//! Builds the tasks of all ranks.

use std::collections::BTreeMap;
use std::sync::Arc;

use fabric::ids::HostId;

use crate::algorithms::Recipe;
use crate::steps::Action;
use crate::tasks::{Costs, Group, Instance, Task, Tasks};
use crate::{AnyProgram, Workload};

/// A task of some rank.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TaskId(u32);

/// A collective that ranks can take part in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CollectiveId(u32);

/// A collective, before ranks enter it.
struct Planned {
    recipe: Arc<Recipe>,
    hosts: Arc<[HostId]>,
    ranks: Arc<[u32]>,
    first: u32,
    label: u32,
}

/// The tasks of one rank, before they are sealed.
struct Rank {
    tasks: Tasks,
    /// What each task waits for.
    after: Vec<Vec<u32>>,
    groups: BTreeMap<Arc<[u32]>, u32>,
}

/// The ranks of a group and their hosts, kept once.
type Members = (Arc<[u32]>, Arc<[HostId]>);

/// Tasks of ranks on hosts.
pub struct Plan {
    hosts: Vec<HostId>,
    ranks: Vec<Rank>,
    collectives: Vec<Planned>,
    labels: Vec<String>,
    next_message: u64,
    messages: u64,
    /// Messages of a recipe, which is asked for many times.
    counts: BTreeMap<Arc<Recipe>, u64>,
    known_groups: BTreeMap<Vec<u32>, Members>,
}

/// Most messages of a run: numbers have 32 bits.
const MOST_MESSAGES: u64 = u32::MAX as u64;

impl Plan {
    /// Nothing to do for ranks on these hosts.
    pub fn new(hosts: &[HostId], costs: Costs) -> Plan {
        let rank = |_: &HostId| Rank {
            tasks: Tasks::new(costs),
            after: Vec::new(),
            groups: BTreeMap::new(),
        };
        Plan {
            hosts: hosts.to_vec(),
            ranks: hosts.iter().map(rank).collect(),
            collectives: Vec::new(),
            labels: Vec::new(),
            next_message: 0,
            messages: 0,
            counts: BTreeMap::new(),
            known_groups: BTreeMap::new(),
        }
    }

    /// Number of ranks.
    pub fn ranks(&self) -> u32 {
        self.hosts.len() as u32
    }

    fn reserve(&mut self, count: u64) -> Result<u32, String> {
        let first = self.next_message;
        self.next_message += count;
        if self.next_message > MOST_MESSAGES {
            return Err("the workload has more messages than can be numbered, 2^32".to_owned());
        }
        Ok(first as u32)
    }

    /// The number of a label in reports.
    pub fn label(&mut self, text: &str) -> u32 {
        if let Some(known) = self.labels.iter().position(|label| label == text) {
            return known as u32;
        }
        self.labels.push(text.to_owned());
        self.labels.len() as u32 - 1
    }

    /// A task of a rank, after others of the same rank.
    pub fn task(&mut self, rank: u32, task: Task, after: &[TaskId]) -> TaskId {
        let rank = &mut self.ranks[rank as usize];
        rank.tasks.tasks.push(task);
        rank.after.push(after.iter().map(|before| before.0).collect());
        TaskId(rank.tasks.tasks.len() as u32 - 1)
    }

    /// Tells of the stretch from the end of a task of the rank until now, after that task.
    pub fn mark(&mut self, rank: u32, since: TaskId, label: u32) -> TaskId {
        self.task(rank, Task::Mark { since: since.0, label }, &[since])
    }

    /// One more task that a task waits for.
    pub fn depend(&mut self, rank: u32, task: TaskId, before: TaskId) {
        self.ranks[rank as usize].after[task.0 as usize].push(before.0);
    }

    /// A message: the task that posts it, after some of the sender's tasks, and the one that waits for it, after some of the
    /// receiver's. `wait`: the first is done when the message is acknowledged.
    ///
    /// # Errors
    /// When there are too many messages.
    pub fn message(
        &mut self,
        (from, to): (u32, u32),
        bytes: u64,
        wait: bool,
        (before, after): (&[TaskId], &[TaskId]),
    ) -> Result<(TaskId, TaskId), String> {
        let message = self.reserve(1)?;
        self.messages += 1;
        let host = self.hosts[to as usize];
        let bytes = bytes.max(1);
        let send = match wait {
            false => Task::Send { to: host, message, bytes },
            true => Task::SendAndWait { to: host, message, bytes },
        };
        let send = self.task(from, send, before);
        let receive = self.task(to, Task::Receive { message }, after);
        self.ranks[from as usize].tasks.messages.insert(message, send.0);
        self.ranks[to as usize].tasks.messages.insert(message, receive.0);
        Ok((send, receive))
    }

    /// A collective of some ranks, in the order of `members`, that are to [enter](Plan::enter) it.
    ///
    /// # Errors
    /// When the recipe does not work, or there are too many messages.
    pub fn collective(
        &mut self,
        recipe: &Arc<Recipe>,
        members: &[u32],
        label: u32,
    ) -> Result<CollectiveId, String> {
        recipe.check()?;
        let first = self.reserve(u64::from(recipe.ranks) * u64::from(recipe.tags()))?;
        if !self.counts.contains_key(recipe) {
            let sends = |rank: u32| {
                let steps = recipe.steps(rank, false).steps;
                let sends =
                    |action| matches!(action, Action::Send { .. } | Action::SendAndWait { .. });
                steps.iter().filter(|step| sends(step.action)).count() as u64
            };
            self.counts.insert(Arc::clone(recipe), (0..recipe.ranks).map(sends).sum());
        }
        self.messages += self.counts[recipe];
        if !self.known_groups.contains_key(members) {
            let hosts = members.iter().map(|rank| self.hosts[*rank as usize]).collect();
            self.known_groups.insert(members.to_vec(), (Arc::from(members), hosts));
        }
        let (ranks, hosts) = self.known_groups[members].clone();
        let recipe = Arc::clone(recipe);
        self.collectives.push(Planned { recipe, hosts, ranks, first, label });
        Ok(CollectiveId(self.collectives.len() as u32 - 1))
    }

    /// A rank's part of a collective, after some of its tasks.
    ///
    /// # Panics
    /// If the rank is no member.
    pub fn enter(&mut self, rank: u32, collective: CollectiveId, after: &[TaskId]) -> TaskId {
        let planned = &self.collectives[collective.0 as usize];
        let own = planned.ranks.iter().position(|member| *member == rank);
        let own = own.expect("a member of the group") as u32;
        let place = &mut self.ranks[rank as usize];
        let groups = &mut place.tasks.groups;
        let group = *place.groups.entry(Arc::clone(&planned.ranks)).or_insert_with(|| {
            groups.push(Group { hosts: Arc::clone(&planned.hosts), own });
            groups.len() as u32 - 1
        });
        let instance = Instance {
            recipe: Arc::clone(&planned.recipe),
            group,
            first: planned.first,
            label: planned.label,
            task: place.tasks.tasks.len() as u32,
        };
        // Its place among the rank's instances is known only when all are.
        place.tasks.instances.push(instance);
        let number = place.tasks.instances.len() as u32 - 1;
        self.task(rank, Task::Collective(number), after)
    }

    /// A collective that all members enter after what they did last, which is returned for each.
    ///
    /// # Errors
    /// When the recipe does not work, or there are too many messages.
    pub fn all_enter(
        &mut self,
        recipe: &Arc<Recipe>,
        members: &[u32],
        label: u32,
        after: &[Vec<TaskId>],
    ) -> Result<Vec<TaskId>, String> {
        let collective = self.collective(recipe, members, label)?;
        let pairs = members.iter().zip(after);
        Ok(pairs.map(|(rank, after)| self.enter(*rank, collective, after)).collect())
    }

    /// Ranks do not tell how long they compute and wait.
    pub fn forget_times(&mut self) {
        self.ranks.iter_mut().for_each(|rank| rank.tasks.tells_times = false);
    }

    /// The programs, for a fabric of `hosts`.
    pub fn finish(self, hosts: u32) -> Workload {
        let mut programs: Vec<AnyProgram> = (0..hosts).map(|_| AnyProgram::Idle).collect();
        for (host, rank) in self.hosts.iter().zip(self.ranks) {
            programs[host.index()] = AnyProgram::Tasks(Box::new(rank.seal()));
        }
        let numbers = self.next_message;
        Workload { labels: self.labels, numbers, ..Workload::new(programs, self.messages) }
    }
}

impl Rank {
    /// Tasks with what waits for each, and instances in the order of their messages.
    fn seal(self) -> Tasks {
        let Rank { mut tasks, mut after, .. } = self;
        let mut order: Vec<u32> = (0..tasks.instances.len() as u32).collect();
        order.sort_by_key(|number| tasks.instances[*number as usize].first);
        let mut place_of = vec![0; order.len()];
        for (place, number) in order.iter().enumerate() {
            place_of[*number as usize] = place as u32;
        }
        tasks.instances.sort_by_key(|instance| instance.first);
        for task in &mut tasks.tasks {
            if let Task::Collective(number) = task {
                *number = place_of[*number as usize];
            }
        }
        let count = tasks.tasks.len();
        tasks.first = vec![0; count + 1];
        for list in &mut after {
            list.sort_unstable();
            list.dedup();
            list.iter().for_each(|before| tasks.first[*before as usize + 1] += 1);
        }
        (0..count).for_each(|place| tasks.first[place + 1] += tasks.first[place]);
        let mut free = tasks.first.clone();
        tasks.next = vec![0; tasks.first[count] as usize];
        for (place, list) in after.iter().enumerate() {
            for before in list {
                tasks.next[free[*before as usize] as usize] = place as u32;
                free[*before as usize] += 1;
            }
        }
        tasks.waits = after.iter().map(|list| list.len() as u32).collect();
        tasks.seal();
        tasks
    }
}
