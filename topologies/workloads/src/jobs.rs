//! Several workloads side by side: each has its own hosts, or shares them, its own numbers of messages, and its own time.
//!
//! A host's programs are called with what concerns them, as if each were alone: messages and triggers are counted from zero,
//! and time from the start of their job.

use std::collections::BTreeMap;

use fabric::endpoint::Message;
use fabric::ids::{HostId, MessageId};
use fabric::program::{Mark, Program, ProgramCx, Report};
use fabric::units::{Span, Time};
use serde::{Deserialize, Serialize};

use crate::collective::Collective;
use crate::{AnyProgram, Workload};

/// The programs of one host.
#[derive(Serialize, Deserialize)]
pub struct Several {
    /// In the order of their numbers.
    parts: Vec<Part>,
    /// What wake-ups are for: a part and its own token, or its start.
    wakes: BTreeMap<u32, (usize, Option<u32>)>,
    next_wake: u32,
}

/// One of them.
#[derive(Serialize, Deserialize)]
struct Part {
    /// The number of its job's first message, and of the first after it.
    first: u32,
    end: u32,
    start: Span,
    /// The number of its job's first label.
    label: u32,
    program: AnyProgram,
}

/// Above this a signal starts a flow, below it fires a trigger; both are counted from the job's first number.
const HALF: u32 = 1 << 31;

impl Several {
    /// The part to which a message, or a signal, belongs.
    fn part(&self, number: u32) -> Option<usize> {
        let after = self.parts.partition_point(|part| part.first <= number);
        let place = after.checked_sub(1)?;
        (number < self.parts[place].end).then_some(place)
    }

    /// Calls a part, and passes on what it does.
    fn call(
        &mut self,
        cx: &mut ProgramCx<'_>,
        place: usize,
        what: impl FnOnce(&mut AnyProgram, &mut ProgramCx<'_>),
    ) {
        let (mut posts, mut wakes, mut signals): (Vec<Message>, _, _) = Default::default();
        let part = &mut self.parts[place];
        let now = Time(cx.now.0 - part.start.0);
        let mut own = ProgramCx::new(now, cx.host, &mut posts, &mut wakes, &mut signals);
        what(&mut part.program, &mut own);
        let (first, start) = (part.first, part.start);
        for post in posts {
            cx.post(MessageId(post.id.0 + first), post.dst, post.bytes);
        }
        for (at, token) in wakes {
            self.wake(cx, at + start, (place, Some(token)));
        }
        for (host, token) in signals {
            cx.signal(host, (token & HALF) | ((token & !HALF) + first));
        }
    }

    fn wake(&mut self, cx: &mut ProgramCx<'_>, at: Time, what: (usize, Option<u32>)) {
        let token = self.next_wake;
        self.next_wake += 1;
        self.wakes.insert(token, what);
        cx.wake_at(at, token);
    }
}

impl Program for Several {
    fn on_start(&mut self, cx: &mut ProgramCx<'_>) {
        for place in 0..self.parts.len() {
            match self.parts[place].start {
                Span::ZERO => self.call(cx, place, |program, cx| program.on_start(cx)),
                start => self.wake(cx, Time::ZERO + start, (place, None)),
            }
        }
    }

    fn on_sent(&mut self, cx: &mut ProgramCx<'_>, message: MessageId) {
        if let Some(place) = self.part(message.0) {
            let own = MessageId(message.0 - self.parts[place].first);
            self.call(cx, place, |program, cx| program.on_sent(cx, own));
        }
    }

    fn on_received(&mut self, cx: &mut ProgramCx<'_>, src: HostId, message: MessageId) {
        if let Some(place) = self.part(message.0) {
            let own = MessageId(message.0 - self.parts[place].first);
            self.call(cx, place, |program, cx| program.on_received(cx, src, own));
        }
    }

    fn on_wake(&mut self, cx: &mut ProgramCx<'_>, token: u32) {
        match self.wakes.remove(&token) {
            Some((place, Some(token))) => {
                self.call(cx, place, |program, cx| program.on_wake(cx, token));
            }
            Some((place, None)) => self.call(cx, place, |program, cx| program.on_start(cx)),
            None => {}
        }
    }

    fn on_signal(&mut self, cx: &mut ProgramCx<'_>, token: u32) {
        if let Some(place) = self.part(token & !HALF) {
            let own = (token & HALF) | ((token & !HALF) - self.parts[place].first);
            self.call(cx, place, |program, cx| program.on_signal(cx, own));
        }
    }

    fn unposted(&self) -> u64 {
        self.parts.iter().map(|part| part.program.unposted()).sum()
    }

    fn report(&self) -> Option<Report> {
        let of = |part: &Part| Some((part.label, part.start, part.program.report()?));
        let mut reports = self.parts.iter().filter_map(of).peekable();
        reports.peek()?;
        let mut all = Report::default();
        for (label, start, report) in reports {
            all.end = all.end.max(report.end + start);
            all.compute = all.compute + report.compute;
            all.exposed = all.exposed + report.exposed;
            all.hidden = all.hidden + report.hidden;
            let shift = |mark: Mark| Mark {
                label: mark.label + label,
                start: mark.start + start,
                end: mark.end + start,
            };
            all.marks.extend(report.marks.into_iter().map(shift));
        }
        Some(all)
    }
}

/// A job of a workload that consists of several.
#[derive(Clone, PartialEq, Debug)]
pub struct Job {
    /// What it is called.
    pub name: String,
    /// Its hosts; empty: all, beside those of others.
    pub hosts: Vec<HostId>,
    /// When it begins.
    pub start: Span,
    /// Its messages: the number of the first, and of the first after them.
    pub numbers: (u32, u32),
    /// How many it posts.
    pub messages: u64,
    /// Its labels.
    pub labels: (u32, u32),
    /// What it computes, if it is a collective.
    pub collective: Option<Collective>,
}

/// A job before it is joined with others: its name, hosts, start and programs.
pub type Alone = (String, Vec<HostId>, Span, Workload);

/// Several workloads as one, on a fabric of `hosts`.
///
/// # Errors
/// When there are more messages than can be numbered.
pub fn together(hosts: u32, jobs: Vec<Alone>) -> Result<Workload, String> {
    let mut parts: Vec<Vec<Part>> = (0..hosts).map(|_| Vec::new()).collect();
    let mut all = Workload::new(Vec::new(), 0);
    let mut next = 0u64;
    for (name, own, start, workload) in jobs {
        let (first, end) = (next, next + workload.numbers);
        // Signals need the uppermost bit.
        if end >= u64::from(HALF) {
            return Err("the jobs have more messages than can be numbered, 2^31".to_owned());
        }
        next = end;
        let numbers = (first as u32, end as u32);
        let label = all.labels.len() as u32;
        for (host, program) in workload.programs.into_iter().enumerate() {
            if !matches!(program, AnyProgram::Idle) {
                parts[host].push(Part { first: numbers.0, end: numbers.1, start, label, program });
            }
        }
        all.couplings.extend(workload.couplings);
        all.messages += workload.messages;
        all.labels.extend(workload.labels.iter().map(|text| format!("{name}: {text}")));
        all.jobs.push(Job {
            name,
            hosts: own,
            start,
            numbers,
            messages: workload.messages,
            labels: (label, all.labels.len() as u32),
            collective: workload.collective,
        });
    }
    let program = |parts: Vec<Part>| match parts.is_empty() {
        true => AnyProgram::Idle,
        false => {
            AnyProgram::Several(Box::new(Several { parts, wakes: BTreeMap::new(), next_wake: 0 }))
        }
    };
    all.programs = parts.into_iter().map(program).collect();
    all.couplings = joined(hosts, all.couplings);
    all.numbers = next;
    Ok(all)
}

/// Groups that share a host are one group.
fn joined(hosts: u32, groups: Vec<Vec<HostId>>) -> Vec<Vec<HostId>> {
    let mut group_of: Vec<Option<usize>> = vec![None; hosts as usize];
    let mut all: Vec<Vec<HostId>> = Vec::new();
    for group in groups {
        let known: Vec<usize> = group.iter().filter_map(|host| group_of[host.index()]).collect();
        let into = known.first().copied().unwrap_or_else(|| {
            all.push(Vec::new());
            all.len() - 1
        });
        let mut members = group;
        for other in known.into_iter().filter(|other| *other != into) {
            members.append(&mut all[other]);
        }
        members.retain(|host| group_of[host.index()] != Some(into));
        members.iter().for_each(|host| group_of[host.index()] = Some(into));
        all[into].extend(members);
    }
    all.retain(|group| !group.is_empty());
    all.iter_mut().for_each(|group| {
        group.sort_unstable();
        group.dedup();
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::play;
    use crate::flows::flows;
    use crate::{matrix, ring};

    /// Jobs post what they would alone, with numbers of their own, also where they share hosts and one starts later.
    #[test]
    fn jobs_do_what_they_would_alone() {
        let own: Vec<HostId> = [0, 2, 4].map(HostId).to_vec();
        let ring = || ring::all_reduce(6, &own, 3_000).unwrap();
        let text = "Nodes 6\nConnections 2\nTriggers 1\n0->1 id 1 start 0 size 10 recv_done_trigger 1\n\
            1->2 id 2 trigger 1 size 20\ntrigger id 1 oneshot\n";
        let other = || flows(&matrix::parse(text).unwrap(), 6);
        let later = Span::from_micros(3);
        let mut both = together(
            6,
            vec![
                ("a".into(), own.clone(), Span::ZERO, ring()),
                ("b".into(), Vec::new(), later, other()),
            ],
        )
        .unwrap();
        assert_eq!(both.messages, ring().messages + 2);
        let ((_, end), (first, _)) = (both.jobs[0].numbers, both.jobs[1].numbers);
        assert_eq!(end, first);
        let sent = play(&mut both);
        let alone = play(&mut ring());
        let of = |low: u32, high: u32| {
            let own = sent.iter().filter(move |sent| (low..high).contains(&sent.id.0));
            own.map(|sent| (sent.id.0 - low, sent.src, sent.dst, sent.bytes)).collect::<Vec<_>>()
        };
        let alone: Vec<_> = alone.iter().map(|s| (s.id.0, s.src, s.dst, s.bytes)).collect();
        assert_eq!(of(0, end), alone);
        let flows = [(0, HostId(0), HostId(1), 10), (1, HostId(1), HostId(2), 20)];
        assert_eq!(of(first, u32::MAX), flows);
    }

    /// Groups that share a host become one.
    #[test]
    fn groups_are_joined() {
        let group = |hosts: &[u32]| hosts.iter().map(|host| HostId(*host)).collect::<Vec<_>>();
        let groups = vec![group(&[0, 1]), group(&[2, 3]), group(&[5, 6]), group(&[1, 2, 4])];
        assert_eq!(joined(7, groups), [group(&[0, 1, 2, 3, 4]), group(&[5, 6])]);
    }
}
