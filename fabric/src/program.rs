//! The seam between a host and its workload: programs post messages and react to completions.
//!
//! A program sees only its own host; what it does next depends on what has finished here. The one
//! exception are *signals*: a program may wake a program on another host at the same instant (the
//! cross-host triggers of connection-matrix files). Hosts that signal each other form a *coupling
//! group*, are declared before the run, and are simulated in joint time order.

use crate::endpoint::Message;
use crate::ids::{HostId, MessageId};
use crate::units::{Span, Time};
use serde::{Deserialize, Serialize};

/// What a program sees and may do during a call.
pub struct ProgramCx<'a> {
    /// The time of this call.
    pub now: Time,
    /// This program's host.
    pub host: HostId,
    pub(crate) posts: &'a mut Vec<Message>,
    pub(crate) wakes: &'a mut Vec<(Time, u32)>,
    pub(crate) signals: &'a mut Vec<(HostId, u32)>,
}

impl<'a> ProgramCx<'a> {
    /// A context that collects into the given lists; for hosts and for tests of programs.
    pub fn new(
        now: Time,
        host: HostId,
        posts: &'a mut Vec<Message>,
        wakes: &'a mut Vec<(Time, u32)>,
        signals: &'a mut Vec<(HostId, u32)>,
    ) -> ProgramCx<'a> {
        ProgramCx { now, host, posts, wakes, signals }
    }

    /// Posts a message of `bytes` to `dst`, now.
    ///
    /// # Panics
    /// If it is empty or addressed to this host.
    pub fn post(&mut self, id: MessageId, dst: HostId, bytes: u64) {
        assert!(
            bytes > 0 && dst != self.host,
            "message {id}: {bytes} B from {} to {dst}",
            self.host
        );
        self.posts.push(Message { id, dst, bytes, slot: 0 });
    }

    /// Calls [`Program::on_wake`] with `token` at `at` (now if that has passed).
    pub fn wake_at(&mut self, at: Time, token: u32) {
        self.wakes.push((at.max(self.now), token));
    }

    /// Calls [`Program::on_signal`] with `token` at host `to`, now. `to` may be this host; another
    /// host must be in the same coupling group.
    pub fn signal(&mut self, to: HostId, token: u32) {
        self.signals.push((to, token));
    }
}

/// A stretch of a program's time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mark {
    /// What it was: a number that the workload gives a meaning.
    pub label: u32,
    /// When it began.
    pub start: Time,
    /// When it ended.
    pub end: Time,
}

/// How a program spent its time.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// When it had done all it had to do.
    pub end: Time,
    /// Computing.
    pub compute: Span,
    /// Waiting for communication, without computing.
    pub exposed: Span,
    /// Communicating behind computing.
    pub hidden: Span,
    /// Stretches worth a name, in the order in which they ended.
    pub marks: Vec<Mark>,
}

/// A host's part of the workload.
pub trait Program: Send {
    /// Time zero.
    fn on_start(&mut self, cx: &mut ProgramCx<'_>);

    /// All of `message`, posted here, was acknowledged.
    fn on_sent(&mut self, cx: &mut ProgramCx<'_>, message: MessageId);

    /// All of `message` from `src` has arrived here.
    fn on_received(&mut self, cx: &mut ProgramCx<'_>, src: HostId, message: MessageId);

    /// A time asked for with [`ProgramCx::wake_at`] has come.
    fn on_wake(&mut self, cx: &mut ProgramCx<'_>, token: u32);

    /// A program of this coupling group sent a signal.
    fn on_signal(&mut self, cx: &mut ProgramCx<'_>, token: u32);

    /// Messages this program has not posted yet although it was meant to: what a run that ended
    /// early still owed. Zero when all was posted.
    fn unposted(&self) -> u64;

    /// How it spent its time, if it knows.
    fn report(&self) -> Option<Report> {
        None
    }
}
