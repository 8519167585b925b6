//! A run: shards executed to the end, then read out.

use crate::capture::CaptureRecord;
use crate::endpoint::Endpoint;
use crate::engine::Progress;
use crate::engine::ranks::{Alone, Ranks, Split};
use crate::engine::shard::Shard;
use crate::engine::threads::execute;
pub use crate::engine::window::Stage;
use crate::engine::window::{Limits, Outcome, Paces};
use crate::ids::HostId;
use crate::layout::Layout;
use crate::net::tap;
use crate::part::{Part, merge};
use crate::probe::RunRecord;
use crate::program::Program;
use crate::series::Sampling;
use crate::units::{Span, Time};

/// A fabric, or a rank's part of it, that is ready to run.
pub struct Run<E, P> {
    pub(crate) shards: Vec<Shard<E, P>>,
    split: Split,
    layout: Layout,
    paces: Paces,
    sampling: Option<Sampling>,
    pub(crate) outcome: Outcome,
}

/// Where a host is within a run.
#[derive(Clone, Copy, Debug)]
pub struct Door {
    shard: usize,
    node: u32,
}

/// Up to when a run goes before it comes back.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    /// No event after this time is run.
    pub end: Time,
    /// The run pauses before the first window that begins at this time or later.
    pub pause: Time,
}

impl Until {
    /// No pause.
    pub fn end(end: Time) -> Until {
        Until { end, pause: Time::NEVER }
    }
}

impl<E: Endpoint, P: Program> Run<E, P> {
    pub(crate) fn new(
        shards: Vec<Shard<E, P>>,
        split: Split,
        layout: Layout,
        paces: Paces,
        sampling: Option<Sampling>,
    ) -> Run<E, P> {
        Run { shards, split, layout, paces, sampling, outcome: Outcome::default() }
    }

    /// How far a node may run ahead of those that it is linked to: the shortest latency of all links.
    pub fn lookahead(&self) -> Span {
        self.paces.lookahead
    }

    /// When the next window begins; [`Time::ZERO`] before the first.
    pub fn next(&self) -> Time {
        self.outcome.next
    }

    /// The shards of this rank.
    pub fn own_shards(&self) -> std::ops::Range<usize> {
        self.split.own()
    }

    /// Shards that have nodes, over all ranks.
    pub fn shards(&self) -> usize {
        self.split.shards()
    }

    /// Runs until no event is left, none is due before `until`, or [`Progress::stop`] is set.
    ///
    /// # Panics
    /// If an invariant of the model breaks: conservation of packets or buffer bytes, order of time.
    pub fn execute(mut self, threads: usize, until: Time, progress: &Progress) -> RunRecord {
        self.proceed(threads, Until::end(until), progress, &Alone);
        self.finish(&Alone).expect("a run alone has its record")
    }

    /// Runs on until the end, as [`Run::execute`], or until the pause asked for, in `until` or by
    /// [`Progress::pause`]; says which. All ranks have to call it, and come back at the same time.
    ///
    /// # Panics
    /// As [`Run::execute`].
    pub fn proceed<R: Ranks>(
        &mut self,
        threads: usize,
        until: Until,
        progress: &Progress,
        ranks: &R,
    ) -> Stage {
        let limits = Limits {
            paces: self.paces,
            until: Time(until.end.0.min(u64::MAX - 1)),
            pause_at: until.pause,
            pause_after: u64::MAX,
        };
        let from = self.outcome;
        self.outcome =
            execute(&mut self.shards, &self.split, threads, limits, progress, ranks, from);
        self.outcome.stage
    }

    /// Where a host of this process is, for [`Run::knock`].
    pub fn door(&self, host: HostId) -> Option<Door> {
        self.shards.iter().enumerate().find_map(|(shard, own)| {
            let node = own.node_of(host)?;
            Some(Door { shard, node })
        })
    }

    /// Offers the ports of a host to its transport at `at` at the latest: something has come to it from outside of the
    /// emulation. All events before `at` have to have been run, and none after it.
    pub fn knock(&mut self, door: Door, at: Time) {
        self.shards[door.shard].knock(door.node, at);
    }

    /// Moves what has been captured so far to the end of `into`, which is put in order; the record at the end has what comes
    /// later.
    pub fn take_captured(&mut self, into: &mut CaptureRecord) {
        for shard in &mut self.shards {
            let record = &mut shard.outlet.taps.record;
            into.frames.append(&mut record.frames);
            into.pauses.append(&mut record.pauses);
            into.beyond += std::mem::take(&mut record.beyond);
        }
        tap::sort(into);
    }

    /// How the run stands.
    pub fn stage(&self) -> Stage {
        self.outcome.stage
    }

    /// What the run gave; on rank 0 only. All ranks have to call it.
    ///
    /// # Panics
    /// As [`Run::execute`].
    pub fn finish<R: Ranks>(self, ranks: &R) -> Option<RunRecord> {
        self.shards.iter().for_each(Shard::audit);
        let own = Part::of(self.shards, self.outcome);
        if ranks.count() == 1 {
            return merge([own], &self.layout, self.sampling);
        }
        let parts = ranks.gather(own.encode());
        merge(parts.iter().map(|bytes| Part::decode(bytes)), &self.layout, self.sampling)
    }
}
