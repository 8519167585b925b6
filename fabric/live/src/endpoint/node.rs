//! The loop that keeps a host, its sockets and the clock together.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fabric::ids::HostId;
use fabric::units::Time;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::unix::AsyncFd;

use super::config::Options;
use super::host::{Event, Host};
use super::sockets::{Sockets, watched};

/// Longest wait: whether to stop is looked at as often.
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// Datagrams that are taken before something is sent.
const TAKE: usize = 128;
/// Datagrams that are sent before something is taken.
const SEND: usize = 64;

/// See the module.
pub struct Node<'a> {
    /// The transport with its messages.
    pub host: Host,
    /// Its sockets.
    pub sockets: Sockets,
    start: Instant,
    /// Waits to the nanosecond, as tokio's own timers do not.
    timer: TimerFd,
    /// Where tokio hears of it.
    alarm: AsyncFd<OwnedFd>,
    stop: &'a AtomicBool,
}

impl Node<'_> {
    /// The endpoint of `rank`, which ends early once `stop` is set. Within a tokio runtime.
    ///
    /// # Errors
    /// When its sockets cannot be opened.
    pub fn open<'a>(
        rank: HostId,
        addresses: &[Ipv4Addr],
        options: &Options,
        largest: u64,
        stop: &'a AtomicBool,
    ) -> io::Result<Node<'a>> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let alarm = watched(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Node {
            host: Host::new(rank, addresses, options, largest),
            sockets: Sockets::open(rank, addresses, options.port())?,
            start: now(),
            timer,
            alarm,
            stop,
        })
    }

    /// Time since the endpoint was opened.
    pub fn now(&self) -> Time {
        Time(self.start.elapsed().as_nanos() as u64 * 1_000)
    }

    /// Posts a message; `id` is unique among those of this endpoint.
    pub fn post(&mut self, to: HostId, id: u32, bytes: Vec<u8>) {
        let now = self.now();
        self.host.post(now, to, id, bytes);
    }

    /// Goes on until something has become of a message; `None` once it is `until`, or told to stop.
    ///
    /// # Errors
    /// When a socket is broken.
    pub async fn event(&mut self, until: Time) -> io::Result<Option<Event>> {
        loop {
            if let Some(event) = self.host.event() {
                return Ok(Some(event));
            }
            if self.now() >= until || self.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let sent_all = self.turn()?;
            // What has just come may be what the caller waits for.
            if sent_all && !self.host.has_event() && self.host.next() > self.now() {
                self.wait(until).await?;
            }
        }
    }

    /// Takes in what has come and sends what is to be sent; false if more is to be sent at once.
    fn turn(&mut self) -> io::Result<bool> {
        let start = self.start;
        let host = &mut self.host;
        let time = || Time(start.elapsed().as_nanos() as u64 * 1_000);
        self.sockets.receive(TAKE, |datagram| host.on_datagram(time(), datagram));
        host.on_time(time());
        for _ in 0..SEND {
            let Some(departure) = host.depart(time()) else { return Ok(true) };
            self.sockets.send(&departure)?;
        }
        Ok(false)
    }

    /// Waits for a datagram, or until the host has something to do.
    async fn wait(&mut self, until: Time) -> io::Result<()> {
        let wait = Duration::from_nanos(self.host.next().min(until).since(self.now()).0 / 1_000);
        let wait = wait.clamp(Duration::from_nanos(1), LONGEST_WAIT);
        let expiration = Expiration::OneShot(TimeSpec::from_duration(wait));
        self.timer.set(expiration, TimerSetTimeFlags::empty())?;
        tokio::select! {
            ready = self.sockets.ready() => ready?,
            ready = self.alarm.readable() => {
                // What has expired is read, so that the next wait is one.
                ready?.clear_ready();
                let _ = self.timer.wait();
            }
        }
        Ok(())
    }
}

fn now() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "endpoints go by the clock")]
    Instant::now()
}
