//! Frames that passed captured ports, with their bytes as they were there, while the run goes on.
//!
//! The engine notes packets; their bytes lie in the yard, and are fetched before they are changed or overwritten. A frame that was
//! received is noted when it has been processed, a little later than those that were sent in between; so frames are held for a
//! while, and given out in order of time.

use fabric::capture::{CaptureRecord, Captured};
use fabric::endpoint::Endpoint;
use fabric::program::Program;
use fabric::run::Run;
use fabric::units::{Span, Time};

use crate::error::LiveError;
use crate::yard::{SharedYard, is_frame};

/// Longer than nodes take to process a frame.
const HELD: Span = Span::from_millis(10);

/// A frame that passed a port.
#[derive(Clone, Debug)]
pub struct Passed {
    /// When, where, and the packet as it was then.
    pub captured: Captured,
    /// The bytes of a real frame, without frame check sequence, with marks and trimming as they were then and the time to live that it
    /// began with; `None` for a packet of a simulated host's transport.
    pub bytes: Option<Vec<u8>>,
}

/// Where frames go: a file.
pub type Sink = Box<dyn FnMut(&Passed) -> Result<(), LiveError>>;

/// What was captured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CaptureFigures {
    /// Frames written.
    pub frames: u64,
    /// Frames beyond the limit of their port.
    pub beyond: u64,
    /// Frames whose bytes were overwritten before they could be fetched.
    pub lost: u64,
}

/// See the module.
pub struct Recorder {
    sink: Sink,
    fresh: CaptureRecord,
    held: Vec<Passed>,
    figures: CaptureFigures,
}

impl Recorder {
    /// Gives what passes to `sink`.
    pub fn new(sink: Sink) -> Recorder {
        let (fresh, figures) = (CaptureRecord::default(), CaptureFigures::default());
        Recorder { sink, fresh, held: Vec::new(), figures }
    }

    /// Takes what was captured before `now`.
    pub(crate) fn take<E: Endpoint, P: Program>(
        &mut self,
        run: &mut Run<E, P>,
        yard: &SharedYard,
        now: Time,
    ) -> Result<(), LiveError> {
        run.take_captured(&mut self.fresh);
        let mut yard = yard.lock();
        for captured in self.fresh.frames.drain(..) {
            let mut bytes = is_frame(&captured.packet).then(Vec::new);
            let copied = bytes.as_mut().map(|bytes| yard.copy(&captured.packet, 0, bytes));
            if copied == Some(None) {
                self.figures.lost += 1;
            } else {
                self.held.push(Passed { captured, bytes });
            }
        }
        drop(yard);
        self.give(Time(now.0.saturating_sub(HELD.0)))
    }

    /// Gives out what is held; nothing comes any more.
    pub(crate) fn finish(mut self) -> Result<CaptureFigures, LiveError> {
        self.give(Time::NEVER)?;
        self.figures.beyond = self.fresh.beyond;
        Ok(self.figures)
    }

    /// Gives out what passed before `until`.
    fn give(&mut self, until: Time) -> Result<(), LiveError> {
        if self.held.first().is_none_or(|oldest| oldest.captured.at >= until) {
            return Ok(());
        }
        self.held.sort_by_key(|passed| {
            let Captured { at, port, way, .. } = passed.captured;
            (at, port, way)
        });
        let count = self.held.partition_point(|passed| passed.captured.at < until);
        for passed in self.held.drain(..count) {
            (self.sink)(&passed)?;
            self.figures.frames += 1;
        }
        Ok(())
    }
}
