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
use fabric::ids::HostId;
use fabric::packet::{Packet, flags};
use fabric::probe::RunRecord;
use fabric::program::Program;
use fabric::run::Door;
use fabric::units::Time;

use crate::capture::{CaptureFigures, Recorder};
use crate::control::helm::{Helm, Turn};
use crate::directory::Directory;
use crate::error::LiveError;
use crate::frame::look;
use crate::journal::{Entry, Writer};
use crate::leave::{Hops, rewrite};
use crate::motor::Motor;
use crate::offload::Lengths;
use crate::pace::{Lag, LagFigures, Pace};
use crate::wire::{Incoming, Line, Wires};
use crate::yard::{Delivery, FrameCounts, SharedYard, Yard};

/// Frames that are handed over in one call.
const BATCH: usize = 64;
/// Longest wait: signals are looked at as often.
const LONGEST_WAIT: Duration = Duration::from_millis(20);
/// Most of the clock's time that a turn runs at once: an emulation that is behind can still be told to stop.
const LONGEST_STEP: Duration = Duration::from_millis(5);
/// How often orders are looked at in a pause.
const PAUSED_WAIT: Duration = Duration::from_millis(2);

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
pub struct Session<'a, E, P> {
    motor: Motor<'a, E, P>,
    yard: SharedYard,
    directory: Directory,
    doors: BTreeMap<HostId, Door>,
    wires: Wires,
    /// Frames that have come and are not yet due, in the order of their moments.
    coming: VecDeque<Incoming>,
    lag: Lag,
    journal: Option<Writer>,
    /// Who looks at it and changes it, if anybody may.
    helm: Option<Helm>,
    recorder: Option<Recorder>,
    settings: Settings,
    deliveries: Vec<Delivery>,
}

impl<'a, E: Endpoint, P: Program> Session<'a, E, P> {
    /// A session of a fabric whose attached hosts have gates to `yard`, and these lines.
    ///
    /// # Panics
    /// If a line is of a host that is not in the fabric.
    pub fn new(
        motor: Motor<'a, E, P>,
        yard: SharedYard,
        hosts: u32,
        lines: Vec<Line>,
        settings: Settings,
    ) -> Session<'a, E, P> {
        let wires = Wires::new(lines);
        let door = |host| (host, motor.run.door(host).expect("an attached host is in the fabric"));
        let doors = wires.hosts().map(door).collect();
        Session {
            motor,
            yard,
            directory: Directory::new(hosts),
            doors,
            wires,
            coming: VecDeque::new(),
            lag: Lag::default(),
            journal: None,
            helm: None,
            recorder: None,
            settings,
            deliveries: Vec::new(),
        }
    }

    /// Writes what is injected into a journal.
    pub fn keep_journal(&mut self, journal: Writer) {
        self.journal = Some(journal);
    }

    /// Takes orders, and shows how it stands.
    pub fn obey(&mut self, helm: Helm) {
        self.helm = Some(helm);
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
        let mut pace = Pace::new(now(), self.settings.dilation);
        let mut shown = now();
        let mut ready = Vec::new();
        precise_waits();
        while !stop.load(Ordering::Relaxed) && self.motor.done() < self.settings.until {
            match self.orders(&pace, &now)? {
                Turn::Go => {}
                Turn::Stand => {
                    self.refuse(PAUSED_WAIT, &mut ready);
                    continue;
                }
                Turn::Resume(stood) => {
                    self.refuse(Duration::ZERO, &mut ready);
                    pace.stand(stood);
                }
                Turn::Stop => break,
            }
            self.wires.wait(self.patience(&pace, now()), &mut ready);
            let until = now();
            let until = self.receive(&ready).map_or(until, |complete| complete.min(until));
            let until = self.step(&pace, until);
            self.take_in(&pace, until)?;
            self.motor.advance(pace.emulated(until).min(self.settings.until));
            if let Some(recorder) = &mut self.recorder {
                let done = self.motor.done();
                recorder.take(&mut self.motor.run, &self.yard, done)?;
            }
            self.hand_over(&pace, &now);
            if now().duration_since(shown) >= VIEW {
                shown = now();
                view(&self.status());
            }
        }
        let status = self.status();
        let end = self.motor.done();
        let captured = self.recorder.map(Recorder::finish).transpose()?;
        let record = self.motor.finish();
        if let Some(mut journal) = self.journal {
            let digest = format!("{:032x}", record.digest);
            journal.add(&Entry::End { at_ps: end.0, digest })?;
            journal.finish()?;
        }
        if let Some(helm) = self.helm {
            helm.end();
        }
        Ok(Ended { status, record, captured })
    }

    /// Carries out orders and shows how it stands.
    fn orders(&mut self, pace: &Pace, now: &impl Fn() -> Instant) -> Result<Turn, LiveError> {
        let Some(mut helm) = self.helm.take() else { return Ok(Turn::Go) };
        let turn = helm.obey(&mut self.motor, &mut self.journal, now())?;
        helm.show(&self.motor, pace, || self.status(), now);
        self.helm = Some(helm);
        Ok(turn)
    }

    /// In a pause, what comes in is lost.
    fn refuse(&mut self, patience: Duration, ready: &mut Vec<bool>) {
        self.wires.wait(patience, ready);
        self.receive(ready);
        if let Some(helm) = &mut self.helm {
            helm.dropped(self.coming.len() as u64);
        }
        self.coming.drain(..).for_each(|frame| self.wires.give_back(frame));
    }

    /// Up to when this turn goes: to `until`, or not so far if there is much to make up for.
    fn step(&self, pace: &Pace, until: Instant) -> Instant {
        if self.motor.next() >= pace.emulated(until) && self.coming.is_empty() {
            return until;
        }
        until.min(pace.moment(self.motor.done()) + LONGEST_STEP)
    }

    /// How long there is nothing to do, if no frame comes.
    fn patience(&self, pace: &Pace, now: Instant) -> Duration {
        if self.settings.busy || !self.coming.is_empty() {
            return Duration::ZERO;
        }
        match self.motor.next() {
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
    fn take_in(&mut self, pace: &Pace, until: Instant) -> Result<(), LiveError> {
        while self.coming.front().is_some_and(|frame| frame.at <= until) {
            let Some(frame) = self.coming.pop_front() else { break };
            self.inject(pace.emulated(frame.at), &frame)?;
            self.wires.give_back(frame);
        }
        Ok(())
    }

    /// A frame goes to a host's NIC at `at`, or now if that is over. The emulation is brought there first, so that whether there is
    /// room does not depend on when it was last.
    fn inject(&mut self, at: Time, frame: &Incoming) -> Result<(), LiveError> {
        let at = at.max(self.motor.done());
        self.motor.advance(at);
        if let Some(helm) = &mut self.helm {
            helm.took(frame.host, frame.bytes().len());
        }
        self.settings.lengths.note(frame.host, frame.bytes().len());
        let (to, by) = ((&mut self.motor, &self.yard), (&mut self.directory, &self.doors));
        inject(to, by, at, frame.host, frame.bytes());
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let (host, bytes) = (frame.host.0, frame.bytes().to_vec());
        journal.add(&Entry::Frame { at_ps: at.0, host, bytes })
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
                if let Some(helm) = &mut self.helm {
                    frames.iter().for_each(|frame| helm.gave(one[0].host, frame[0].len()));
                }
            }
        }
        self.deliveries.clear();
    }

    fn status(&self) -> Status {
        Status {
            now: self.motor.done(),
            counts: self.yard.lock().counts.clone(),
            lag: self.lag.figures(),
            lost_in: self.wires.lost_in,
            lost_out: self.wires.lost_out,
            beyond_mtu: self.settings.lengths.beyond.clone(),
        }
    }
}

/// A frame goes to a host's NIC at `at`, if it is for somebody and there is room.
fn inject<E: Endpoint, P: Program>(
    (motor, yard): (&mut Motor<'_, E, P>, &SharedYard),
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
        motor.run.knock(*door, at);
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
    mut motor: Motor<'_, E, P>,
    yard: &SharedYard,
    hosts: u32,
    (path, mut journal): (PathBuf, crate::journal::Reader),
    mut recorder: Option<Recorder>,
) -> Result<(String, RunRecord), LiveError> {
    let damaged = |why: String| LiveError::File { path: path.clone(), why };
    let mut directory = Directory::new(hosts);
    let mut doors = BTreeMap::new();
    let mut seen = Vec::new();
    while let Some(entry) = journal.next_entry()? {
        match entry {
            Entry::Frame { at_ps, host, bytes } => {
                let (at, host) = (Time(at_ps), HostId(host));
                if let Some(door) = motor.run.door(host) {
                    doors.entry(host).or_insert(door);
                }
                motor.advance(at);
                if let Some(recorder) = &mut recorder {
                    recorder.take(&mut motor.run, yard, at)?;
                }
                // Nobody is there to be handed what arrived; it is made ready all the same, as then.
                let mut own = yard.lock();
                own.collect(&mut seen);
                for Delivery { packet, .. } in seen.drain(..) {
                    leave(&mut own, &packet, 0);
                }
                drop(own);
                inject((&mut motor, yard), (&mut directory, &doors), at, host, &bytes);
            }
            Entry::Change { at_ps, action } => {
                motor.advance(Time(at_ps));
                motor.change(action).map_err(|error| damaged(error.to_string()))?;
            }
            Entry::End { at_ps, digest } => {
                motor.advance(Time(at_ps));
                if let Some(mut recorder) = recorder {
                    recorder.take(&mut motor.run, yard, Time(at_ps))?;
                    recorder.finish()?;
                }
                return Ok((digest, motor.finish()));
            }
        }
    }
    Err(damaged("it has no end: the session was killed, and its digest is not known".to_owned()))
}
