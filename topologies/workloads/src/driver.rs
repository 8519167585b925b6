//! Plays a workload on a network that delivers at once, to see what it sends.

use std::collections::VecDeque;

use fabric::ids::{HostId, MessageId};
use fabric::program::{Program, ProgramCx};
use fabric::units::Time;

use crate::Workload;

/// A message that was posted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) id: MessageId,
    pub(crate) src: HostId,
    pub(crate) dst: HostId,
    pub(crate) bytes: u64,
}

enum Step {
    Start(HostId),
    Received(HostId, HostId, MessageId),
    Sent(HostId, MessageId),
    Wake(HostId, u32),
    Signal(HostId, u32),
}

/// Plays until nothing happens any more; checks that all was posted, and returns it in order.
pub(crate) fn play(workload: &mut Workload) -> Vec<Sent> {
    let mut log = Vec::new();
    let mut now = Time::ZERO;
    let mut steps: VecDeque<Step> =
        (0..workload.programs.len() as u32).map(|host| Step::Start(HostId(host))).collect();
    let mut wakes: Vec<(Time, HostId, u32)> = Vec::new();
    loop {
        while let Some(step) = steps.pop_front() {
            take(workload, now, step, &mut steps, &mut wakes, &mut log);
        }
        wakes.sort();
        if wakes.is_empty() {
            break;
        }
        let (at, host, token) = wakes.remove(0);
        now = at;
        steps.push_back(Step::Wake(host, token));
    }
    let unposted: u64 = workload.programs.iter().map(Program::unposted).sum();
    assert_eq!(unposted, 0, "every message is posted in the end");
    log
}

fn take(
    workload: &mut Workload,
    now: Time,
    step: Step,
    steps: &mut VecDeque<Step>,
    wakes: &mut Vec<(Time, HostId, u32)>,
    log: &mut Vec<Sent>,
) {
    let (mut posts, mut own_wakes, mut signals) = (Vec::new(), Vec::new(), Vec::new());
    let host = match step {
        Step::Start(host) | Step::Received(host, ..) | Step::Sent(host, _) => host,
        Step::Wake(host, _) | Step::Signal(host, _) => host,
    };
    let mut cx = ProgramCx::new(now, host, &mut posts, &mut own_wakes, &mut signals);
    let program = &mut workload.programs[host.index()];
    match step {
        Step::Start(_) => program.on_start(&mut cx),
        Step::Received(_, src, id) => program.on_received(&mut cx, src, id),
        Step::Sent(_, id) => program.on_sent(&mut cx, id),
        Step::Wake(_, token) => program.on_wake(&mut cx, token),
        Step::Signal(_, token) => program.on_signal(&mut cx, token),
    }
    for message in posts {
        let (id, dst, bytes) = (message.id, message.dst, message.bytes);
        log.push(Sent { id, src: host, dst, bytes });
        steps.push_back(Step::Received(dst, host, id));
        steps.push_back(Step::Sent(host, id));
    }
    wakes.extend(own_wakes.into_iter().map(|(at, token)| (at, host, token)));
    steps.extend(signals.into_iter().map(|(to, token)| Step::Signal(to, token)));
}
