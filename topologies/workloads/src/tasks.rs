//! The program of a rank that has a graph of tasks to do: computing, messages, collectives.
//!
//! A task begins when all that it depends on is done. Collectives are written out into steps only while they run, so a
//! rank's memory does not grow with the number of its collectives' messages.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fabric::ids::{HostId, MessageId};
use fabric::program::{Mark, Program, ProgramCx, Report};
use fabric::units::{Span, Time};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::algorithms::Recipe;
use crate::meter::Meter;
use crate::steps::{Action, Step};

/// Something to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Task {
    /// Nothing: a place where others meet.
    Join,
    /// Time passes.
    Wait(Span),
    /// A moment comes.
    At(Time),
    /// Time passes that counts as communicating: of communication that is not simulated packet by packet.
    Elapse(Span),
    /// The stretch from the end of a task of this rank, which has one, until now is worth telling.
    Mark {
        /// The task.
        since: u32,
        /// What the stretch is called.
        label: u32,
    },
    /// A stream computes; it does one thing at a time.
    Compute {
        /// How long.
        time: Span,
        /// Which stream.
        stream: u8,
    },
    /// Received data is added up.
    Add {
        /// How much.
        bytes: u64,
    },
    /// A message is posted; done at once.
    Send {
        /// Receiver.
        to: HostId,
        /// Its number.
        message: u32,
        /// Payload.
        bytes: u64,
    },
    /// The same, done when it is acknowledged.
    SendAndWait {
        /// Receiver.
        to: HostId,
        /// Its number.
        message: u32,
        /// Payload.
        bytes: u64,
    },
    /// A message has come.
    Receive {
        /// Its number.
        message: u32,
    },
    /// This rank's part of a collective: its place among those of the rank.
    Collective(u32),
}

/// A collective that this rank takes part in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Instance {
    pub(crate) recipe: Arc<Recipe>,
    /// Place of its group in [`Tasks::groups`].
    pub(crate) group: u32,
    /// Number of the first of its messages.
    pub(crate) first: u32,
    /// What it is called in reports.
    pub(crate) label: u32,
    /// Its task.
    pub(crate) task: u32,
}

/// Ranks of a collective.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) hosts: Arc<[HostId]>,
    /// This rank's number among them.
    pub(crate) own: u32,
}

/// How reductions and starts of collectives take time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Costs {
    /// Picoseconds a byte that is added, in 1/65536.
    pub reduce: u64,
    /// Before each message of a collective.
    pub step: Span,
    /// Bytes on the wire for each 120 of payload; 120 if there is no overhead.
    pub wire: u32,
}

impl Costs {
    fn adding(&self, bytes: u64) -> Span {
        Span(((u128::from(bytes) * u128::from(self.reduce)) >> 16) as u64)
    }

    fn wire_bytes(&self, bytes: u64) -> u64 {
        if self.wire == 0 { bytes } else { (bytes * u64::from(self.wire)).div_ceil(120) }
    }
}

/// A collective under way.
#[derive(Serialize, Deserialize)]
struct Running {
    steps: Vec<Step>,
    /// For each step how many it still waits for.
    waits: Vec<u16>,
    /// Where the steps that wait for each begin in `next`; one more entry than steps.
    first: Vec<u32>,
    next: Vec<u32>,
    /// Steps that receive, by sender and tag.
    receives: BTreeMap<(u32, u32), u32>,
    /// Steps that wait for an acknowledgement, by tag.
    sends: BTreeMap<u32, u32>,
    /// Steps whose message has come before they began.
    early: BTreeSet<u32>,
    left: u32,
    since: Time,
}

/// Something that computes one thing at a time.
#[derive(Default, Serialize, Deserialize)]
struct Stream {
    busy: Option<u32>,
    waiting: VecDeque<u32>,
}

/// What a wake-up is for.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum Wake {
    Task(u32),
    /// A step of an instance begins, or what it received is added.
    Send(u32, u32),
    Added(u32, u32),
}

/// The tasks of a rank.
#[derive(Serialize, Deserialize)]
pub struct Tasks {
    pub(crate) tasks: Vec<Task>,
    /// For each task how many it still waits for.
    pub(crate) waits: Vec<u32>,
    /// Where the tasks that wait for each begin in `next`; one more entry than tasks.
    pub(crate) first: Vec<u32>,
    pub(crate) next: Vec<u32>,
    pub(crate) groups: Vec<Group>,
    /// In order of their first messages.
    pub(crate) instances: Vec<Instance>,
    pub(crate) costs: Costs,
    /// Tasks of single messages, by number.
    pub(crate) messages: BTreeMap<u32, u32>,
    running: BTreeMap<u32, Running>,
    /// Messages that have come before their task began.
    early: BTreeSet<u32>,
    /// Messages of collectives that have come before this rank began them.
    early_steps: BTreeMap<u32, Vec<u32>>,
    /// Receiving tasks that have begun.
    open: BTreeSet<u32>,
    streams: BTreeMap<u8, Stream>,
    wakes: BTreeMap<u32, Wake>,
    next_wake: u32,
    left: u64,
    meter: Meter,
    pub(crate) tells_times: bool,
    marks: Vec<Mark>,
    /// When tasks ended from which stretches are told.
    ends: BTreeMap<u32, Time>,
}

impl Tasks {
    /// Nothing to do yet; [`crate::plan`] fills it.
    pub(crate) fn new(costs: Costs) -> Tasks {
        Tasks {
            tasks: Vec::new(),
            waits: Vec::new(),
            first: Vec::new(),
            next: Vec::new(),
            groups: Vec::new(),
            instances: Vec::new(),
            costs,
            messages: BTreeMap::new(),
            running: BTreeMap::new(),
            early: BTreeSet::new(),
            early_steps: BTreeMap::new(),
            open: BTreeSet::new(),
            streams: BTreeMap::new(),
            wakes: BTreeMap::new(),
            next_wake: 0,
            left: 0,
            meter: Meter::default(),
            tells_times: true,
            marks: Vec::new(),
            ends: BTreeMap::new(),
        }
    }

    pub(crate) fn seal(&mut self) {
        self.left = self.tasks.len() as u64;
        let since = |task: &Task| match task {
            Task::Mark { since, .. } => Some((*since, Time::NEVER)),
            _ => None,
        };
        self.ends = self.tasks.iter().filter_map(since).collect();
    }

    fn wake(&mut self, cx: &mut ProgramCx<'_>, after: Span, what: Wake) {
        let token = self.next_wake;
        self.next_wake += 1;
        self.wakes.insert(token, what);
        cx.wake_at(cx.now + after, token);
    }

    fn begin(&mut self, cx: &mut ProgramCx<'_>, task: u32, ready: &mut Vec<u32>) {
        match self.tasks[task as usize] {
            Task::Join => ready.push(task),
            Task::Wait(span) => self.pass(cx, span, task, ready),
            Task::At(time) if time <= cx.now => ready.push(task),
            Task::At(time) => self.wake(cx, time.since(cx.now), Wake::Task(task)),
            Task::Elapse(Span::ZERO) => ready.push(task),
            Task::Elapse(span) => {
                self.meter.communicates(cx.now, 1);
                self.wake(cx, span, Wake::Task(task));
            }
            Task::Mark { since, label } => {
                let start = self.ends[&since];
                self.marks.push(Mark { label, start, end: cx.now });
                ready.push(task);
            }
            Task::Add { bytes } => self.pass(cx, self.costs.adding(bytes), task, ready),
            Task::Compute { time: Span::ZERO, .. } => ready.push(task),
            Task::Compute { stream, .. } => {
                self.streams.entry(stream).or_default().waiting.push_back(task);
                self.compute(cx, stream);
            }
            Task::Send { to, message, bytes } => {
                cx.post(MessageId(message), to, bytes);
                ready.push(task);
            }
            Task::SendAndWait { to, message, bytes } => {
                cx.post(MessageId(message), to, bytes);
                self.meter.communicates(cx.now, 1);
            }
            Task::Receive { message } => {
                if self.early.remove(&message) {
                    ready.push(task);
                } else {
                    self.open.insert(message);
                    self.meter.communicates(cx.now, 1);
                }
            }
            Task::Collective(instance) => self.enter(cx, instance, ready),
        }
    }

    /// A task that is nothing but time.
    fn pass(&mut self, cx: &mut ProgramCx<'_>, span: Span, task: u32, ready: &mut Vec<u32>) {
        if span == Span::ZERO {
            ready.push(task);
        } else {
            self.wake(cx, span, Wake::Task(task));
        }
    }

    /// A stream computes the next thing, if it computes nothing else.
    fn compute(&mut self, cx: &mut ProgramCx<'_>, number: u8) {
        let stream = self.streams.entry(number).or_default();
        if stream.busy.is_some() {
            return;
        }
        let Some(task) = stream.waiting.pop_front() else { return };
        let Task::Compute { time, .. } = self.tasks[task as usize] else { return };
        stream.busy = Some(task);
        self.meter.turn(cx.now);
        self.meter.computing += 1;
        self.wake(cx, time, Wake::Task(task));
    }

    /// All of these are done, and what waited for nothing else begins.
    fn finish(&mut self, cx: &mut ProgramCx<'_>, mut ready: Vec<u32>) {
        while let Some(task) = ready.pop() {
            self.left -= 1;
            if let Some(end) = self.ends.get_mut(&task) {
                *end = cx.now;
            }
            let [first, end] = [task, task + 1].map(|task| self.first[task as usize] as usize);
            for place in first..end {
                let next = self.next[place];
                self.waits[next as usize] -= 1;
                if self.waits[next as usize] == 0 {
                    self.begin(cx, next, &mut ready);
                }
            }
        }
        if self.left == 0 {
            self.meter.turn(cx.now);
        }
    }

    /// The instance to which a message belongs, the number of its sender, and its tag.
    fn instance_of(&self, message: u32) -> Option<(u32, u32, u32)> {
        let after = self.instances.partition_point(|instance| instance.first <= message);
        let place = after.checked_sub(1)?;
        let instance = &self.instances[place];
        let (offset, tags) = (message - instance.first, instance.recipe.tags());
        let sender = offset / tags;
        (sender < instance.recipe.ranks).then_some((place as u32, sender, offset % tags))
    }

    fn enter(&mut self, cx: &mut ProgramCx<'_>, number: u32, ready: &mut Vec<u32>) {
        let instance = &self.instances[number as usize];
        let own = self.groups[instance.group as usize].own;
        let written = instance.recipe.steps(own, false);
        let count = written.steps.len();
        let mut first = vec![0u32; count + 1];
        written.after.iter().flatten().for_each(|before| first[*before as usize + 1] += 1);
        (0..count).for_each(|place| first[place + 1] += first[place]);
        let mut free = first.clone();
        let mut next = vec![0; first[count] as usize];
        let (mut receives, mut sends) = (BTreeMap::new(), BTreeMap::new());
        for (place, step) in written.steps.iter().enumerate() {
            for before in &written.after[place] {
                next[free[*before as usize] as usize] = place as u32;
                free[*before as usize] += 1;
            }
            match step.action {
                Action::Receive { from } | Action::Reduce { from } => {
                    receives.insert((from, step.tag), place as u32);
                }
                Action::SendAndWait { .. } => {
                    sends.insert(step.tag, place as u32);
                }
                Action::Send { .. } => {}
            }
        }
        let waits = written.after.iter().map(|after| after.len() as u16).collect();
        let running = Running {
            steps: written.steps,
            waits,
            first,
            next,
            receives,
            sends,
            early: BTreeSet::new(),
            left: count as u32,
            since: cx.now,
        };
        self.running.insert(number, running);
        self.meter.communicates(cx.now, 1);
        for message in self.early_steps.remove(&number).unwrap_or_default() {
            self.note(number, message);
        }
        let starts =
            (0..count as u32).filter(|step| self.running[&number].waits[*step as usize] == 0);
        let starts: Vec<u32> = starts.collect();
        let mut done = Vec::new();
        starts.into_iter().for_each(|step| self.begin_step(cx, number, step, &mut done));
        if self.finish_steps(cx, number, done) {
            ready.push(self.instances[number as usize].task);
        }
    }

    /// A message of an instance has come; its step may not have begun.
    fn note(&mut self, number: u32, message: u32) -> Option<u32> {
        let (_, sender, tag) = self.instance_of(message).expect("a message of an instance");
        let running = self.running.get_mut(&number).expect("the instance has begun");
        let step = *running.receives.get(&(sender, tag)).expect("a step for each message");
        if running.waits[step as usize] > 0 {
            running.early.insert(step);
            return None;
        }
        // Of those noted before any step has begun.
        running.early.insert(step).then_some(step)
    }

    fn begin_step(&mut self, cx: &mut ProgramCx<'_>, number: u32, step: u32, done: &mut Vec<u32>) {
        let action = self.running[&number].steps[step as usize].action;
        match action {
            Action::Send { .. } | Action::SendAndWait { .. } => {
                if self.costs.step > Span::ZERO {
                    self.wake(cx, self.costs.step, Wake::Send(number, step));
                } else {
                    self.post_step(cx, number, step, done);
                }
            }
            Action::Receive { .. } | Action::Reduce { .. } => {
                if self.running[&number].early.contains(&step) {
                    self.take_step(cx, number, step, done);
                }
            }
        }
    }

    fn post_step(&mut self, cx: &mut ProgramCx<'_>, number: u32, step: u32, done: &mut Vec<u32>) {
        let Step { action, tag, bytes } = self.running[&number].steps[step as usize];
        let instance = &self.instances[number as usize];
        let group = &self.groups[instance.group as usize];
        let message = instance.first + group.own * instance.recipe.tags() + tag;
        let (Action::Send { to } | Action::SendAndWait { to }) = action else { return };
        cx.post(MessageId(message), group.hosts[to as usize], self.costs.wire_bytes(bytes));
        if matches!(action, Action::Send { .. }) {
            done.push(step);
        }
    }

    /// What a step that has begun waits for has come.
    fn take_step(&mut self, cx: &mut ProgramCx<'_>, number: u32, step: u32, done: &mut Vec<u32>) {
        let Step { action, bytes, .. } = self.running[&number].steps[step as usize];
        let adds = matches!(action, Action::Reduce { .. }) && self.costs.reduce > 0;
        if adds {
            self.wake(cx, self.costs.adding(bytes), Wake::Added(number, step));
        } else {
            done.push(step);
        }
    }

    /// Steps are done, and those that waited for nothing else begin; whether the instance is done with them.
    fn finish_steps(&mut self, cx: &mut ProgramCx<'_>, number: u32, mut done: Vec<u32>) -> bool {
        while let Some(step) = done.pop() {
            let running = self.running.get_mut(&number).expect("the instance has begun");
            running.left -= 1;
            let [first, end] = [step, step + 1].map(|step| running.first[step as usize] as usize);
            for place in first..end {
                let running = self.running.get_mut(&number).expect("the instance has begun");
                let next = running.next[place];
                running.waits[next as usize] -= 1;
                if running.waits[next as usize] == 0 {
                    self.begin_step(cx, number, next, &mut done);
                }
            }
        }
        if self.running[&number].left > 0 {
            return false;
        }
        let running = self.running.remove(&number).expect("it was just there");
        let label = self.instances[number as usize].label;
        self.marks.push(Mark { label, start: running.since, end: cx.now });
        self.meter.communicates(cx.now, -1);
        true
    }

    /// Steps of an instance are done, with all that follows.
    fn go_on(&mut self, cx: &mut ProgramCx<'_>, number: u32, done: Vec<u32>) {
        if self.finish_steps(cx, number, done) {
            let task = self.instances[number as usize].task;
            self.finish(cx, vec![task]);
        }
    }
}

impl Program for Tasks {
    fn on_start(&mut self, cx: &mut ProgramCx<'_>) {
        let starts = (0..self.tasks.len() as u32).filter(|task| self.waits[*task as usize] == 0);
        let starts: Vec<u32> = starts.collect();
        let mut ready = Vec::new();
        starts.into_iter().for_each(|task| self.begin(cx, task, &mut ready));
        self.finish(cx, ready);
    }

    fn on_sent(&mut self, cx: &mut ProgramCx<'_>, message: MessageId) {
        if let Some((number, _, tag)) = self.instance_of(message.0) {
            // A collective that is over for this rank has no step that waited for this.
            let Some(running) = self.running.get(&number) else { return };
            if let Some(step) = running.sends.get(&tag) {
                let done = vec![*step];
                self.go_on(cx, number, done);
            }
            return;
        }
        let Some(task) = self.messages.get(&message.0).copied() else { return };
        if matches!(self.tasks[task as usize], Task::SendAndWait { .. }) {
            self.meter.communicates(cx.now, -1);
            self.finish(cx, vec![task]);
        }
    }

    fn on_received(&mut self, cx: &mut ProgramCx<'_>, _: HostId, message: MessageId) {
        if let Some((number, ..)) = self.instance_of(message.0) {
            if !self.running.contains_key(&number) {
                self.early_steps.entry(number).or_default().push(message.0);
                return;
            }
            if let Some(step) = self.note(number, message.0) {
                let mut done = Vec::new();
                self.take_step(cx, number, step, &mut done);
                self.go_on(cx, number, done);
            }
            return;
        }
        if !self.open.remove(&message.0) {
            self.early.insert(message.0);
            return;
        }
        self.meter.communicates(cx.now, -1);
        if let Some(task) = self.messages.get(&message.0).copied() {
            self.finish(cx, vec![task]);
        }
    }

    fn on_wake(&mut self, cx: &mut ProgramCx<'_>, token: u32) {
        match self.wakes.remove(&token) {
            Some(Wake::Task(task)) => {
                match self.tasks[task as usize] {
                    Task::Compute { stream, .. } => {
                        self.meter.turn(cx.now);
                        self.meter.computing -= 1;
                        self.streams.entry(stream).or_default().busy = None;
                        self.compute(cx, stream);
                    }
                    Task::Elapse(_) => self.meter.communicates(cx.now, -1),
                    _ => {}
                }
                self.finish(cx, vec![task]);
            }
            Some(Wake::Send(number, step)) => {
                let mut done = Vec::new();
                self.post_step(cx, number, step, &mut done);
                self.go_on(cx, number, done);
            }
            Some(Wake::Added(number, step)) => self.go_on(cx, number, vec![step]),
            None => {}
        }
    }

    fn on_signal(&mut self, _: &mut ProgramCx<'_>, _: u32) {}

    fn unposted(&self) -> u64 {
        self.left
    }

    fn report(&self) -> Option<Report> {
        let Meter { since, compute, exposed, hidden, .. } = self.meter;
        let marks = self.marks.clone();
        match self.tells_times {
            true => Some(Report { end: since, compute, exposed, hidden, marks }),
            false => Some(Report { end: since, marks, ..Report::default() }),
        }
    }
}
