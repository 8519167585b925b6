//! A run that goes on up to the moments that it is told, and is changed at them.
//!
//! What happens, and when in emulated time, decides the result; how often the run stopped in between does not. So a live run and
//! its journal, which drive the same motor, end with the same digest.

use fabric::changes::Changes;
use fabric::endpoint::Endpoint;
use fabric::engine::Progress;
use fabric::engine::ranks::Alone;
use fabric::error::TooShort;
use fabric::fault::{Fault, SwitchFault};
use fabric::ids::LinkId;
use fabric::probe::RunRecord;
use fabric::program::Program;
use fabric::run::{Run, Until};
use fabric::units::{Span, Time};
use serde::{Deserialize, Serialize};

use crate::gate::Live;

/// A change of the fabric.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Action {
    /// Something happens to a link.
    Link(Fault),
    /// A switch fails or comes back.
    Switch(SwitchFault),
    /// A link becomes longer or shorter, at once.
    Delay {
        /// Which.
        link: LinkId,
        /// Its propagation delay from now on, in both directions.
        delay: Span,
    },
}

impl Action {
    /// The same, its time counted from `start` on.
    pub fn after(self, start: Time) -> Action {
        let later = |at: Time| Time(start.0.saturating_add(at.0));
        match self {
            Action::Link(fault) => Action::Link(Fault { at: later(fault.at), ..fault }),
            Action::Switch(fault) => Action::Switch(SwitchFault { at: later(fault.at), ..fault }),
            Action::Delay { .. } => self,
        }
    }
}

/// See the module.
pub struct Motor<'a, E, P> {
    /// The run.
    pub run: Run<Live<E>, P>,
    /// Faults to come, and what changes links.
    pub changes: Changes<'a>,
    progress: Progress,
    /// Everything before this has been run.
    done: Time,
}

impl<'a, E: Endpoint, P: Program> Motor<'a, E, P> {
    /// A motor of a run that was assembled without faults; `changes` has them.
    pub fn new(run: Run<Live<E>, P>, changes: Changes<'a>) -> Motor<'a, E, P> {
        Motor { run, changes, progress: Progress::default(), done: Time::ZERO }
    }

    /// Everything before this has been run, and nothing after it.
    pub fn done(&self) -> Time {
        self.done
    }

    /// When something happens next.
    pub fn next(&self) -> Time {
        self.run.next().min(self.changes.next())
    }

    /// Runs everything before `target`, and lets changes happen at their times.
    pub fn advance(&mut self, target: Time) {
        while self.changes.next() < target {
            let at = self.changes.next().max(self.done);
            self.proceed(at);
            self.changes.apply(&mut self.run, at);
        }
        self.proceed(target);
    }

    fn proceed(&mut self, target: Time) {
        if target > self.done {
            self.run.proceed(1, Until::end(Time(target.0 - 1)), &self.progress, &Alone);
            self.done = target;
        }
    }

    /// Changes the fabric, now or at the action's time.
    ///
    /// # Errors
    /// [`TooShort`], when a link cannot become as short.
    pub fn change(&mut self, action: Action) -> Result<(), TooShort> {
        match action {
            Action::Link(fault) => self.changes.add(fault),
            Action::Switch(fault) => self.changes.add_switch(fault),
            Action::Delay { link, delay } => {
                self.changes.set_delay(&mut self.run, (link, delay), self.done)?;
            }
        }
        Ok(())
    }

    /// What the run gave.
    pub fn finish(self) -> RunRecord {
        self.run.finish(&Alone).expect("a run alone has its record")
    }
}
