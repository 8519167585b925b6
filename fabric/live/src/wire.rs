//! Raw sockets on network interfaces: frames in and out, many to a call of the system.
//!
//! pnet finds the interface, binds the socket to it and has it take what is for others (`AF_PACKET`); frames then go through the
//! same socket by `recvmmsg` and `sendmmsg`. The system says when a frame came (`SO_TIMESTAMPNS`) and how many it had no room
//! for (`SO_RXQ_OVFL`), so neither depends on when somebody looks.

use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::time::{Duration, Instant};

use fabric::ids::HostId;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, MultiHeaders, SockFlag, SockType, recvmmsg,
    sendmmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use pnet::datalink::{self, Channel, Config, DataLinkReceiver, DataLinkSender};

use crate::error::LiveError;
use crate::frame::LONGEST;

/// Frames to a call.
const BATCH: usize = 64;
/// Calls for an interface and a turn: the emulation goes on under a flood.
const CALLS: usize = 8;
/// Bytes that the system may hold for an interface until somebody looks, its own bookkeeping included.
const ROOM: usize = 8 << 20;

/// A frame from an attached host.
#[derive(Debug)]
pub struct Incoming {
    /// The host.
    pub host: HostId,
    /// When the system had it.
    pub at: Instant,
    buffer: Box<[u8]>,
    length: usize,
}

impl Incoming {
    /// Its bytes, without frame check sequence. One that is longer than [`LONGEST`] is cut, but still longer than that.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

/// An interface with a raw socket.
pub struct Line {
    /// The host it is attached to.
    pub host: HostId,
    socket: OwnedFd,
    /// pnet's hold on the same socket.
    _channel: (Box<dyn DataLinkSender>, Box<dyn DataLinkReceiver>),
    /// Frames that the system had no room for, as it counts them.
    overflows: u32,
}

/// Opens a raw socket on an interface for a host.
///
/// # Errors
/// When there is no such interface, or the socket is not permitted.
pub fn open(host: HostId, name: &str) -> Result<Line, LiveError> {
    let all = datalink::interfaces();
    let Some(interface) = all.iter().find(|interface| interface.name == name) else {
        let known: Vec<&str> = all.iter().map(|interface| interface.name.as_str()).collect();
        let (name, known) = (name.to_owned(), known.join(", "));
        return Err(LiveError::NoInterface { name, known });
    };
    let failed = |error: std::io::Error| {
        let help = "; raw sockets need CAP_NET_RAW: run as root, or give it to the program (`setcap cap_net_raw+ep`)";
        let help = if error.kind() == ErrorKind::PermissionDenied { help } else { "" };
        LiveError::Socket { name: name.to_owned(), why: format!("{error}{help}") }
    };
    let socket = raw_socket().map_err(|error| failed(error.into()))?;
    let theirs = socket.try_clone().map_err(failed)?;
    let config = Config { socket_fd: Some(theirs.into_raw_fd()), ..Config::default() };
    match datalink::channel(interface, config) {
        Ok(Channel::Ethernet(sender, receiver)) => {
            Ok(Line { host, socket, _channel: (sender, receiver), overflows: 0 })
        }
        Ok(_) => Err(failed(ErrorKind::Unsupported.into())),
        Err(error) => Err(failed(error)),
    }
}

fn raw_socket() -> nix::Result<OwnedFd> {
    // Of no protocol until pnet binds it to its interface: it would hear all interfaces meanwhile.
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    setsockopt(&socket, sockopt::RxqOvfl, &1)?;
    // More than the system's limit is for root; what it allows is enough for slow links.
    if setsockopt(&socket, sockopt::RcvBufForce, &ROOM).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &ROOM)?;
    }
    Ok(socket)
}

/// All interfaces of a session.
pub struct Wires {
    lines: Vec<Line>,
    /// Buffers that hold no frame: the last used is the next, since it is in the cache.
    spare: Vec<Box<[u8]>>,
    sending: MultiHeaders<()>,
    /// Frames that came faster than they were taken in.
    pub lost_in: u64,
    /// Frames that an interface did not take.
    pub lost_out: u64,
}

impl Wires {
    /// Of these lines.
    pub fn new(lines: Vec<Line>) -> Wires {
        let sending = MultiHeaders::preallocate(BATCH, None);
        Wires { lines, spare: Vec::new(), sending, lost_in: 0, lost_out: 0 }
    }

    /// Hosts that are attached.
    pub fn hosts(&self) -> impl Iterator<Item = HostId> {
        self.lines.iter().map(|line| line.host)
    }

    /// Waits for frames, `most` at the longest; which interfaces have some.
    pub fn wait(&self, most: Duration, ready: &mut Vec<bool>) {
        let sockets = self.lines.iter().map(|line| line.socket.as_fd());
        let mut all: Vec<PollFd<'_>> =
            sockets.map(|socket| PollFd::new(socket, PollFlags::POLLIN)).collect();
        // A signal ends the wait as well: then nothing has come.
        let _ = ppoll(&mut all, Some(TimeSpec::from_duration(most)), None);
        ready.clear();
        ready.extend(all.iter().map(|one| one.any() == Some(true)));
    }

    /// Takes in what has come over interfaces that are `ready`. Everything that came before the moment that is given back is
    /// in; `None` if nothing was left anywhere.
    pub fn receive(&mut self, ready: &[bool], into: &mut Vec<Incoming>) -> Option<Instant> {
        let stamps = Stamps::now();
        let mut complete = None;
        for line in
            self.lines.iter_mut().zip(ready).filter_map(|(line, ready)| ready.then_some(line))
        {
            let before = into.len();
            let mut left = CALLS;
            while left > 0
                && read(line, &mut self.spare, &stamps, (into, &mut self.lost_in)) == BATCH
            {
                left -= 1;
            }
            let last = into[before..].last().map(|frame| frame.at);
            if let Some(last) = last.filter(|_| left == 0) {
                complete = Some(complete.map_or(last, |so_far: Instant| so_far.min(last)));
            }
        }
        complete
    }

    /// The buffer of a frame that is done with.
    pub fn give_back(&mut self, frame: Incoming) {
        self.spare.push(frame.buffer);
    }

    /// Sends frames to a host, at most `BATCH` of them.
    pub fn send(&mut self, host: HostId, frames: &[[IoSlice<'_>; 1]]) {
        let Some(line) = self.lines.iter().find(|line| line.host == host) else { return };
        let mut left = frames;
        while !left.is_empty() {
            let to = [None; BATCH];
            let socket = line.socket.as_raw_fd();
            let sent = sendmmsg(socket, &mut self.sending, left, to, [], MsgFlags::MSG_DONTWAIT);
            // What the first frame met is told; what a later one met ends the call before it.
            let taken = sent.map_or(0, Iterator::count);
            self.lost_out += u64::from(taken == 0);
            left = &left[taken.max(1)..];
        }
    }
}

/// Frames of one call; how many.
fn read(
    line: &mut Line,
    spare: &mut Vec<Box<[u8]>>,
    stamps: &Stamps,
    (into, lost): (&mut Vec<Incoming>, &mut u64),
) -> usize {
    let fresh = || vec![0; LONGEST + 1].into_boxed_slice();
    let mut buffers: Vec<Box<[u8]>> =
        (0..BATCH).map(|_| spare.pop().unwrap_or_else(fresh)).collect();
    let mut lengths = [(0, None); BATCH];
    let mut count = 0;
    {
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        // Made anew for each call, since calls shorten the room for what they tell.
        let room = nix::cmsg_space!(TimeSpec, u32);
        let mut headers = MultiHeaders::<()>::preallocate(BATCH, Some(room));
        let (socket, flags) = (line.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        let received = recvmmsg(socket, &mut headers, slices.iter_mut(), flags, None);
        for message in received.into_iter().flatten() {
            let mut at = None;
            for told in message.cmsgs().into_iter().flatten() {
                match told {
                    ControlMessageOwned::ScmTimestampns(stamp) => at = Some(stamp),
                    ControlMessageOwned::RxqOvfl(overflows) => {
                        *lost += u64::from(overflows.wrapping_sub(line.overflows));
                        line.overflows = overflows;
                    }
                    _ => {}
                }
            }
            lengths[count] = (message.bytes, at);
            count += 1;
        }
    }
    // Backwards, so that those that were not needed are the first to be used again.
    for buffer in buffers.drain(count..).rev() {
        spare.push(buffer);
    }
    for (buffer, (length, stamp)) in buffers.into_iter().zip(lengths) {
        let at = stamp.map_or(stamps.now, |stamp| stamps.moment(stamp));
        into.push(Incoming { host: line.host, at, buffer, length });
    }
    count
}

/// The clock of the system's stamps against the one that this goes by.
struct Stamps {
    real: Duration,
    now: Instant,
}

impl Stamps {
    fn now() -> Stamps {
        let real = clock_gettime(ClockId::CLOCK_REALTIME).map_or(Duration::ZERO, Duration::from);
        #[allow(clippy::disallowed_methods, reason = "moments of real frames")]
        let now = Instant::now();
        Stamps { real, now }
    }

    /// The moment of a stamp; now, if the system's clock was set in between and it would be far off.
    fn moment(&self, stamp: TimeSpec) -> Instant {
        let stamp = Duration::from(stamp);
        let far = Duration::from_secs(1);
        match self.real.checked_sub(stamp) {
            Some(ago) if ago < far => self.now.checked_sub(ago).unwrap_or(self.now),
            None if stamp - self.real < far => self.now + (stamp - self.real),
            _ => self.now,
        }
    }
}
