//! How a rank's time is spent: computing, communicating, both.

use fabric::units::{Span, Time};
use serde::{Deserialize, Serialize};

/// How a rank's time was spent.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Meter {
    pub(crate) since: Time,
    pub(crate) computing: u32,
    pub(crate) communicating: u32,
    pub(crate) compute: Span,
    pub(crate) exposed: Span,
    pub(crate) hidden: Span,
}

impl Meter {
    /// Time has passed; then something changes.
    pub(crate) fn turn(&mut self, now: Time) {
        let passed = now.since(self.since);
        self.since = now;
        if self.computing > 0 {
            self.compute = self.compute + passed;
            if self.communicating > 0 {
                self.hidden = self.hidden + passed;
            }
        } else if self.communicating > 0 {
            self.exposed = self.exposed + passed;
        }
    }

    /// One more thing is communicated, or one less.
    pub(crate) fn communicates(&mut self, now: Time, change: i32) {
        self.turn(now);
        self.communicating = self.communicating.wrapping_add_signed(change);
    }
}
