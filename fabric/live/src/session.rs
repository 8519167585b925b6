//! The loop that keeps the emulation and the clock together.
//!
//! A turn takes in the frames that have come, at the moments at which they came; runs the emulation up to now; and hands over what has
//! reached attached hosts. Then it waits for the next frame or the next event, whichever is first. The emulation never runs ahead of
//! the clock, so a frame is never late for it; that the clock runs ahead of the emulation is the lag.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fabric::endpoint::Endpoint;
use fabric::engine::Progress;
use fabric::engine::ranks::Alone;
use fabric::ids::HostId;
use fabric::packet::{Packet, flags};
use fabric::probe::RunRecord;
use fabric::program::Program;
use fabric::run::{Door, Run, Until};
use fabric::units::Time;

use crate::capture::{CaptureFigures, Recorder};
use crate::directory::Directory;
use crate::error::LiveError;
use crate::frame::look;
use crate::gate::Live;
use crate::journal::{Entry, Writer};
use crate::leave::{Hops, rewrite};
use crate::offload::Lengths;
use crate::pace::{Lag, LagFigures, Pace};
use crate::wire::{Incoming, Line, Wires};
use crate::yard::{Delivery, FrameCounts, SharedYard, Yard};

/// Frames that are handed over in one call.
const BATCH: usize = 64;
/// Longest wait: signals are looked at as often.
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// Time between two views.
const VIEW: Duration = Duration::from_millis(500);

/// How a session goes.
pub struct Settings {
    /// Seconds of the clock for a second of emulated time.
    pub dilation: f64,
    /// The loop never sleeps: less lag, and a core for itself.
    pub busy: bool,
    /// When it ends by itself, in emulated time; [`Time::NEVER`] if it does not.
    pub until: Time,
    /// Switches route instead of bridging: each takes one from the time to live; how many are on the way between two hosts.
    pub routed: Option<Hops>,
    /// How long frames may be.
    pub lengths: Lengths,
}

/// What a session tells while it goes on, and at its end.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Emulated time.
    pub now: Time,
    /// What was counted of frames.
    pub counts: FrameCounts,
    /// How late frames were handed over.
    pub lag: LagFigures,
    /// Frames that came faster than they could be taken in.
    pub lost_in: u64,
    /// Frames that an interface did not take.
    pub lost_out: u64,
    /// Frames longer than the MTU of their interface, by host.
    pub beyond_mtu: BTreeMap<HostId, u64>,
}

/// A session's end.
pub struct Ended {
    /// What was told last.
    pub status: Status,
    /// What the emulation gave.
    pub record: RunRecord,
    /// What was captured, if anything was to be.
    pub captured: Option<CaptureFigures>,
}

/// A fabric with attached hosts, ready to go.
pub struct Session<E, P> {
    run: Run<Live<E>, P>,
    yard: SharedYard,
    directory: Directory,
    doors: BTreeMap<HostId, Door>,
    wires: Wires,
    /// Frames that have come and are not yet due, in the order of their moments.
    coming: VecDeque<Incoming>,
    lag: Lag,
    journal: Option<Writer>,
    recorder: Option<Recorder>,
    settings: Settings,
    /// Everything before this has been run.
    done: Time,
    deliveries: Vec<Delivery>,
}

impl<E: Endpoint, P: Program> Session<E, P> {
    /// A session of a fabric whose attached hosts have gates to `yard`, and these lines.
    ///
    /// # Panics
    /// If a line is of a host that is not in the fabric.
    pub fn new(
        run: Run<Live<E>, P>,
        yard: SharedYard,
        hosts: u32,
        lines: Vec<Line>,
        settings: Settings,
    ) -> Session<E, P> {
        let wires = Wires::new(lines);
        let door = |host| (host, run.door(host).expect("an attached host is in the fabric"));
        let doors = wires.hosts().map(door).collect();
        Session {
            run,
            yard,
            directory: Directory::new(hosts),
            doors,
            wires,
            coming: VecDeque::new(),
            lag: Lag::default(),
            journal: None,
            recorder: None,
            settings,
            done: Time::ZERO,
            deliveries: Vec::new(),
        }
    }

    /// Writes what is injected into a journal.
    pub fn keep_journal(&mut self, journal: Writer) {
        self.journal = Some(journal);
    }

    /// Records frames that pass the ports that its run captures.
    pub fn record(&mut self, recorder: Recorder) {
        self.recorder = Some(recorder);
    }

    /// Goes on until it is told to stop, or its time is over. `view` is shown how it stands every so often.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn go(
        mut self,
        stop: &AtomicBool,
        mut view: impl FnMut(&Status),
    ) -> Result<Ended, LiveError> {
        #[allow(clippy::disallowed_methods, reason = "a live run goes by the clock")]
        let now = Instant::now;
        let pace = Pace::new(now(), self.settings.dilation);
        let progress = Progress::default();
        let mut shown = now();
        let mut ready = Vec::new();
        precise_waits();
        while !stop.load(Ordering::Relaxed) && self.done < self.settings.until {
            self.wires.wait(self.patience(&pace, now()), &mut ready);
            let until = now();
            let until = self.receive(&ready).map_or(until, |complete| complete.min(until));
            self.take_in(&pace, until, &progress)?;
            let target = pace.emulated(until).min(self.settings.until);
            self.advance(target, &progress);
            if let Some(recorder) = &mut self.recorder {
                recorder.take(&mut self.run, &self.yard, self.done)?;
            }
            self.hand_over(&pace, &now);
            if now().duration_since(shown) >= VIEW {
                shown = now();
                view(&self.status());
            }
        }
        let status = self.status();
        let end = self.done;
        let captured = self.recorder.map(Recorder::finish).transpose()?;
        let record = self.run.finish(&Alone).expect("a run alone has its record");
        if let Some(mut journal) = self.journal {
            let digest = format!("{:032x}", record.digest);
            journal.add(&Entry::End { at_ps: end.0, digest })?;
            journal.finish()?;
        }
        Ok(Ended { status, record, captured })
    }

    /// How long there is nothing to do, if no frame comes.
    fn patience(&self, pace: &Pace, now: Instant) -> Duration {
        if self.settings.busy || !self.coming.is_empty() {
            return Duration::ZERO;
        }
        match self.run.next() {
            Time::NEVER => LONGEST_WAIT,
            next => pace.moment(next).saturating_duration_since(now).min(LONGEST_WAIT),
        }
    }

    /// Puts what has come in the order of its moments; if some has not been read yet, all before the moment given back has.
    fn receive(&mut self, ready: &[bool]) -> Option<Instant> {
        let mut frames: Vec<Incoming> = self.coming.drain(..).collect();
        let complete = self.wires.receive(ready, &mut frames);
        frames.sort_by_key(|frame| (frame.at, frame.host));
        self.coming = frames.into();
        complete
    }

    /// Takes in what came no later than `until`.
    fn take_in(
        &mut self,
        pace: &Pace,
        until: Instant,
        progress: &Progress,
    ) -> Result<(), LiveError> {
        while self.coming.front().is_some_and(|frame| frame.at <= until) {
            let Some(frame) = self.coming.pop_front() else { break };
            self.inject(pace.emulated(frame.at), &frame, progress)?;
            self.wires.give_back(frame);
        }
        Ok(())
    }

    /// A frame goes to a host's NIC at `at`, or now if that is over. The emulation is brought there first, so that whether there is
    /// room does not depend on when it was last.
    fn inject(&mut self, at: Time, frame: &Incoming, progress: &Progress) -> Result<(), LiveError> {
        let at = at.max(self.done);
        self.advance(at, progress);
        self.settings.lengths.note(frame.host, frame.bytes().len());
        let (to, by) = ((&mut self.run, &self.yard), (&mut self.directory, &self.doors));
        inject(to, by, at, frame.host, frame.bytes());
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let (host, bytes) = (frame.host.0, frame.bytes().to_vec());
        journal.add(&Entry::Frame { at_ps: at.0, host, bytes })
    }

    /// Runs everything before `target`.
    fn advance(&mut self, target: Time, progress: &Progress) {
        advance(&mut self.run, self.done, target, progress);
        self.done = self.done.max(target);
    }

    /// Hands over what has reached attached hosts.
    fn hand_over(&mut self, pace: &Pace, now: &impl Fn() -> Instant) {
        let mut yard = self.yard.lock();
        yard.collect(&mut self.deliveries);
        let routed = &self.settings.routed;
        self.deliveries.retain(|Delivery { host, packet, .. }| {
            let hops = routed.as_ref().map_or(0, |hops| hops(packet.src, *host));
            leave(&mut yard, packet, hops)
        });
        // Those of one host go together, each host's in their order.
        self.deliveries.sort_by_key(|delivery| delivery.host);
        for one in self.deliveries.chunk_by(|a, b| a.host == b.host) {
            for some in one.chunks(BATCH) {
                let bytes = |delivery: &Delivery| yard.frame(&delivery.packet);
                let frames: Vec<_> = some.iter().map(|one| [IoSlice::new(bytes(one))]).collect();
                self.wires.send(one[0].host, &frames);
                let sent = now();
                some.iter().for_each(|delivery| self.lag.note(pace.moment(delivery.at), sent));
            }
        }
        self.deliveries.clear();
    }

    fn status(&self) -> Status {
        Status {
            now: self.done,
            counts: self.yard.lock().counts.clone(),
            lag: self.lag.figures(),
            lost_in: self.wires.lost_in,
            lost_out: self.wires.lost_out,
            beyond_mtu: self.settings.lengths.beyond.clone(),
        }
    }
}

/// Runs everything from `done` to before `target`.
fn advance<E: Endpoint, P: Program>(
    run: &mut Run<E, P>,
    done: Time,
    target: Time,
    progress: &Progress,
) {
    if target > done {
        run.proceed(1, Until::end(Time(target.0 - 1)), progress, &Alone);
    }
}

/// A frame goes to a host's NIC at `at`, if it is for somebody and there is room.
fn inject<E: Endpoint, P: Program>(
    (run, yard): (&mut Run<Live<E>, P>, &SharedYard),
    (directory, doors): (&mut Directory, &BTreeMap<HostId, Door>),
    at: Time,
    host: HostId,
    bytes: &[u8],
) {
    let sight = look(bytes);
    let mut yard = yard.lock();
    yard.counts.taken[sight.kind as usize] += 1;
    if sight.kind.is_carried() {
        directory.learn(host, sight.source, sight.source_ip);
    }
    let dst = directory.find(sight.target).filter(|dst| *dst != host);
    let Some(dst) = dst.filter(|_| sight.kind.is_carried()) else {
        yard.counts.undeliverable += u64::from(sight.kind.is_carried());
        return;
    };
    let taken = yard.take_in((at, host, dst), bytes, &sight);
    drop(yard);
    if let Some(door) = doors.get(&host).filter(|_| taken) {
        run.knock(*door, at);
    }
}

/// Changes the bytes of a packet that has arrived as the fabric changed it; false if it would not have arrived.
fn leave(yard: &mut Yard, packet: &Packet, hops: u8) -> bool {
    let Some((kind, bytes)) = yard.bytes(packet) else { return false };
    let refused = rewrite(bytes, kind, packet, hops).err();
    let counts = &mut yard.counts;
    match refused {
        Some(refusal) => counts.refuse(refusal),
        None => {
            counts.delivered += 1;
            counts.marked += u64::from(packet.has(flags::CE));
            counts.trimmed += u64::from(packet.has(flags::TRIMMED));
        }
    }
    refused.is_none()
}

/// Has the system wake this thread when it asked for it, not up to 50 us later.
fn precise_waits() {
    // Where that is not possible, the lag tells.
    let _ = nix::sys::prctl::set_timerslack(1);
}

/// Runs a journal again, without a clock or an interface: the digest it gave then, and the record now. Frames that pass the ports that
/// the run captures go to `recorder`.
///
/// # Errors
/// When the journal is damaged, or has no end.
pub fn replay<E: Endpoint, P: Program>(
    mut run: Run<Live<E>, P>,
    yard: &SharedYard,
    hosts: u32,
    (path, mut journal): (PathBuf, crate::journal::Reader),
    mut recorder: Option<Recorder>,
) -> Result<(String, RunRecord), LiveError> {
    let mut directory = Directory::new(hosts);
    let mut doors = BTreeMap::new();
    let progress = Progress::default();
    let mut done = Time::ZERO;
    let mut seen = Vec::new();
    while let Some(entry) = journal.next_entry()? {
        match entry {
            Entry::Frame { at_ps, host, bytes } => {
                let (at, host) = (Time(at_ps), HostId(host));
                if let Some(door) = run.door(host) {
                    doors.entry(host).or_insert(door);
                }
                advance(&mut run, done, at, &progress);
                done = done.max(at);
                if let Some(recorder) = &mut recorder {
                    recorder.take(&mut run, yard, done)?;
                }
                // Nobody is there to be handed what arrived; it is made ready all the same, as then.
                let mut own = yard.lock();
                own.collect(&mut seen);
                for Delivery { packet, .. } in seen.drain(..) {
                    leave(&mut own, &packet, 0);
                }
                drop(own);
                inject((&mut run, yard), (&mut directory, &doors), at, host, &bytes);
            }
            Entry::End { at_ps, digest } => {
                advance(&mut run, done, Time(at_ps), &progress);
                if let Some(mut recorder) = recorder {
                    recorder.take(&mut run, yard, Time(at_ps))?;
                    recorder.finish()?;
                }
                let record = run.finish(&Alone).expect("a run alone has its record");
                return Ok((digest, record));
            }
        }
    }
    let why = "it has no end: the session was killed, and its digest is not known".to_owned();
    Err(LiveError::File { path, why })
}
