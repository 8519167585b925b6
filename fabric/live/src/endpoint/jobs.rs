//! What endpoints do with each other. Every message ends with a checksum of its bytes, which its receiver looks at.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use fabric::ids::HostId;
use fabric::probe::EndpointCounters;
use fabric::rng::mix64;
use fabric::units::{Span, Time};
use hdrhistogram::Histogram;
use serde::Serialize;
use thiserror::Error;

use super::config::Options;
use super::host::{Event, Oddities};
use super::node::Node;
use super::sockets::SocketCounts;

/// Bytes of a message's checksum (CRC-32).
const CHECKSUM: usize = 4;
/// Payload of the messages that a transfer is cut into.
const PIECE: usize = 1 << 20;
/// Most bytes of a message that is taken.
const LARGEST: u64 = 1 << 30;
/// Numbers of messages of barriers, above those of jobs.
const BARRIER: u32 = 1 << 30;

/// What is to be done; all endpoints of a job are given the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Job {
    /// Bytes go from one rank to another.
    Transfer {
        /// Who sends.
        from: HostId,
        /// Who receives.
        to: HostId,
        /// What is sent, if this is the sender.
        bytes: Vec<u8>,
    },
    /// Ranks 0 and 1 send a message back and forth.
    PingPong {
        /// Its bytes.
        bytes: usize,
        /// How often.
        count: u32,
    },
    /// All ranks add up their vectors in a ring: reduce-scatter, then all-gather.
    AllReduce {
        /// Bytes of each rank's vector of 32-bit numbers.
        bytes: usize,
        /// How often.
        count: u32,
    },
}

/// Why a job was not done.
#[derive(Debug, Error)]
pub enum JobError {
    /// Sockets cannot be opened or used.
    #[error("cannot use {address}: {error}")]
    Socket {
        /// The rank's own address.
        address: Ipv4Addr,
        /// What the system says.
        error: io::Error,
    },
    /// It took too long, or was told to stop.
    #[error("not done: rank {rank} still waits for message {id} of rank {src}")]
    Waiting {
        /// Who waits.
        rank: u32,
        /// For whom.
        src: u32,
        /// For what.
        id: u32,
    },
    /// Another rank was not there in time.
    #[error("not done: rank {src} has not come, or is not done; rank {rank} waits for it")]
    Absent {
        /// Who waits.
        rank: u32,
        /// For whom.
        src: u32,
    },
    /// Its own messages were not acknowledged in time.
    #[error("not done: messages of rank {rank} were not acknowledged")]
    Unacknowledged {
        /// Whose.
        rank: u32,
    },
    /// The transport gave a message up.
    #[error("the transport gave up message {id} of rank {rank}")]
    GivenUp {
        /// Whose.
        rank: u32,
        /// Which.
        id: u32,
    },
}

/// Round trips of a ping-pong, in microseconds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct RoundTrips {
    /// The shortest.
    pub min_us: f64,
    /// Half were no longer.
    pub p50_us: f64,
    /// 99 of 100.
    pub p99_us: f64,
    /// The longest.
    pub max_us: f64,
}

/// What a rank tells of a job.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whose it is.
    pub rank: u32,
    /// How many there were.
    pub ranks: u32,
    /// Payload bytes of the job: the vector, the message, the file.
    pub bytes: u64,
    /// From the first barrier to the end, for one repetition.
    pub seconds: f64,
    /// Payload over that time; of an all-reduce the vector's bytes.
    pub gbps: f64,
    /// Whether everything that arrived was right: sums, bytes, checksums, each message once.
    pub right: bool,
    /// Messages of the job that were sent and acknowledged.
    pub messages_sent: u64,
    /// Messages of the job that were received.
    pub messages_received: u64,
    /// Messages whose checksum was wrong.
    pub messages_damaged: u64,
    /// CRC-32 of the result: of the sums, of the bytes transferred.
    pub checksum: u32,
    /// Of a ping-pong.
    pub round_trips: Option<RoundTrips>,
    /// What was refused.
    pub refused: Oddities,
    /// What the transport counted from the first barrier on.
    pub packets: BTreeMap<&'static str, u64>,
    /// What sockets counted.
    pub sockets: SocketCounts,
    /// Whether trimmed packets reach the endpoint (CAP_NET_RAW); if not they count as lost.
    pub sees_trimmed: bool,
    /// What was received.
    #[serde(skip)]
    pub received: Vec<u8>,
}

/// A rank at work.
struct Worker<'a> {
    node: Node<'a>,
    rank: HostId,
    ranks: u32,
    address: Ipv4Addr,
    deadline: Time,
    stash: BTreeMap<(HostId, u32), Vec<u8>>,
    sent: u64,
    received: u64,
    damaged: u64,
    barriers: u32,
}

/// Does `job` as `rank` among `addresses`, within `timeout`, until `stop` is set. Runs a tokio runtime of its own.
///
/// # Errors
/// See [`JobError`].
///
/// # Panics
/// If the job names a rank that there is not.
pub fn run(
    job: &Job,
    rank: HostId,
    addresses: &[Ipv4Addr],
    options: &Options,
    timeout: Duration,
    stop: &AtomicBool,
) -> Result<Report, JobError> {
    let address = addresses[rank.index()];
    let failed = |error| JobError::Socket { address, error };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let node = Node::open(rank, addresses, options, LARGEST, stop).map_err(failed)?;
        let mut worker = Worker {
            node,
            rank,
            ranks: addresses.len() as u32,
            address,
            deadline: Time(timeout.as_nanos() as u64 * 1_000),
            stash: BTreeMap::new(),
            sent: 0,
            received: 0,
            damaged: 0,
            barriers: 0,
        };
        let report = worker.job(job).await?;
        worker.linger(options.quiet()).await?;
        Ok(report)
    })
}

impl Worker<'_> {
    async fn job(&mut self, job: &Job) -> Result<Report, JobError> {
        self.barrier().await?;
        self.flush().await?;
        // Until all were there, packets were lost that had nobody to receive them.
        let (before, start) = (self.node.host.counters, self.node.now());
        let mut result = Outcome::default();
        let count = match job {
            Job::Transfer { from, to, bytes } => {
                self.transfer(*from, *to, bytes, &mut result).await?;
                1
            }
            Job::PingPong { bytes, count } => {
                self.ping_pong(*bytes, *count, &mut result).await?;
                *count
            }
            Job::AllReduce { bytes, count } => {
                for turn in 0..*count {
                    self.all_reduce(*bytes, turn, &mut result).await?;
                }
                *count
            }
        };
        self.flush().await?;
        let seconds = self.node.now().since(start).0 as f64 / 1e12 / f64::from(count.max(1));
        self.barrier().await?;
        let host = &self.node.host;
        Ok(Report {
            rank: self.rank.0,
            ranks: self.ranks,
            bytes: result.bytes,
            seconds,
            gbps: result.bytes as f64 * 8.0 / 1e9 / seconds,
            right: !result.wrong && self.damaged == 0 && host.oddities.messages_twice == 0,
            messages_sent: self.sent,
            messages_received: self.received,
            messages_damaged: self.damaged,
            checksum: result.checksum,
            round_trips: result.round_trips,
            refused: host.oddities,
            packets: since(&before, &host.counters),
            sockets: self.node.sockets.counts,
            sees_trimmed: self.node.sockets.sees_trimmed(),
            received: result.received,
        })
    }

    fn send(&mut self, to: HostId, id: u32, mut bytes: Vec<u8>) {
        let checksum = crc32fast::hash(&bytes);
        bytes.extend(checksum.to_le_bytes());
        self.node.post(to, id, bytes);
    }

    /// The next event before the deadline, taken in; false if there is none.
    async fn step(&mut self) -> Result<bool, JobError> {
        let address = self.address;
        let event = self.node.event(self.deadline).await;
        match event.map_err(|error| JobError::Socket { address, error })? {
            None => return Ok(false),
            Some(Event::Sent { id }) => self.sent += u64::from(id < BARRIER),
            Some(Event::Failed { id }) => {
                return Err(JobError::GivenUp { rank: self.rank.0, id });
            }
            Some(Event::Received { src, id, mut bytes }) => {
                self.received += u64::from(id < BARRIER);
                let end = bytes.len().saturating_sub(CHECKSUM);
                let told = bytes.split_off(end);
                let right = told == crc32fast::hash(&bytes).to_le_bytes();
                self.damaged += u64::from(!right);
                self.stash.insert((src, id), bytes);
            }
        }
        Ok(true)
    }

    /// Waits for a message.
    async fn expect(&mut self, src: HostId, id: u32) -> Result<Vec<u8>, JobError> {
        loop {
            if let Some(bytes) = self.stash.remove(&(src, id)) {
                return Ok(bytes);
            }
            if !self.step().await? {
                let (rank, src) = (self.rank.0, src.0);
                return Err(if id < BARRIER {
                    JobError::Waiting { rank, src, id }
                } else {
                    JobError::Absent { rank, src }
                });
            }
        }
    }

    /// Waits until all messages are acknowledged.
    async fn flush(&mut self) -> Result<(), JobError> {
        while !self.node.host.is_idle() {
            if !self.step().await? {
                return Err(JobError::Unacknowledged { rank: self.rank.0 });
            }
        }
        Ok(())
    }

    /// Waits until all ranks are here. The last words of a job may stay unacknowledged: whoever has them may be gone.
    async fn barrier(&mut self) -> Result<(), JobError> {
        let id = BARRIER + self.barriers * self.ranks;
        self.barriers += 1;
        if self.rank == HostId(0) {
            for src in 1..self.ranks {
                self.expect(HostId(src), id).await?;
            }
            (1..self.ranks).for_each(|to| self.send(HostId(to), id + to, vec![1]));
        } else {
            self.send(HostId(0), id, vec![1]);
            self.expect(HostId(0), id + self.rank.0).await?;
        }
        Ok(())
    }

    /// Stays to acknowledge what others send again, and to send again what they miss, until it has been quiet for so long.
    async fn linger(&mut self, quiet: Span) -> Result<(), JobError> {
        loop {
            let before = self.node.sockets.counts.received;
            self.deadline = self.node.now() + quiet;
            while self.step().await? {}
            if self.node.sockets.counts.received == before {
                return Ok(());
            }
        }
    }

    async fn transfer(
        &mut self,
        from: HostId,
        to: HostId,
        bytes: &[u8],
        result: &mut Outcome,
    ) -> Result<(), JobError> {
        if self.rank == from {
            let head = [(bytes.len() as u64).to_le_bytes(), [0; 8]].concat();
            self.send(to, 0, head);
            for (piece, id) in bytes.chunks(PIECE).zip(1..) {
                self.send(to, id, piece.to_vec());
            }
            result.received.clear();
            (result.bytes, result.checksum) = (bytes.len() as u64, crc32fast::hash(bytes));
            return self.flush().await;
        }
        if self.rank == to {
            let head = self.expect(from, 0).await?;
            let length = head.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            for id in 1..=length.div_ceil(PIECE as u64) as u32 {
                let piece = self.expect(from, id).await?;
                result.received.extend(piece);
            }
            result.bytes = length;
            result.wrong = result.received.len() as u64 != length;
            result.checksum = crc32fast::hash(&result.received);
        }
        Ok(())
    }

    async fn ping_pong(
        &mut self,
        bytes: usize,
        count: u32,
        result: &mut Outcome,
    ) -> Result<(), JobError> {
        result.bytes = bytes as u64;
        let message: Vec<u8> = (0..bytes).map(|place| place as u8).collect();
        let mut times = Histogram::<u64>::new(3).expect("three digits are possible");
        for turn in 0..count {
            match self.rank.0 {
                0 => {
                    let start = self.node.now();
                    self.send(HostId(1), turn, message.clone());
                    let back = self.expect(HostId(1), turn).await?;
                    let taken = self.node.now().since(start).0 / 1_000;
                    times.record(taken).expect("it grows as needed");
                    result.wrong |= back != message;
                }
                1 => {
                    let there = self.expect(HostId(0), turn).await?;
                    self.send(HostId(0), turn, there);
                }
                _ => {}
            }
        }
        result.checksum = crc32fast::hash(&message);
        let of = |share: f64| times.value_at_quantile(share) as f64 / 1e3;
        result.round_trips = (self.rank.0 == 0).then(|| RoundTrips {
            min_us: times.min() as f64 / 1e3,
            p50_us: of(0.5),
            p99_us: of(0.99),
            max_us: times.max() as f64 / 1e3,
        });
        Ok(())
    }

    async fn all_reduce(
        &mut self,
        bytes: usize,
        turn: u32,
        result: &mut Outcome,
    ) -> Result<(), JobError> {
        let (rank, ranks) = (self.rank.0, self.ranks);
        let numbers = bytes / 4;
        let mut vector: Vec<u32> = (0..numbers).map(|place| value(rank, turn, place)).collect();
        let part = |number: u32| {
            let at = |number: u32| numbers * number as usize / ranks as usize;
            at(number % ranks)..at(number % ranks + 1)
        };
        let (left, right) = (HostId((rank + ranks - 1) % ranks), HostId((rank + 1) % ranks));
        let steps = 2 * (ranks - 1);
        for step in 0..steps {
            let gathers = step >= ranks - 1;
            let own = part(rank + ranks + ranks + u32::from(gathers) - step % (ranks - 1).max(1));
            let other = part(rank + 3 * ranks - 1 + u32::from(gathers) - step % (ranks - 1).max(1));
            let id = turn * steps + step;
            // Parts of a short vector may be empty; a message is not.
            let message = vector[own].iter().flat_map(|number| number.to_le_bytes()).collect();
            self.send(right, id, message);
            let got = self.expect(left, id).await?;
            result.wrong |= got.len() != other.len() * 4;
            for (place, number) in other.zip(got.as_chunks::<4>().0) {
                let number = u32::from_le_bytes(*number);
                vector[place] = if gathers { number } else { vector[place].wrapping_add(number) };
            }
        }
        let sum =
            |place| (0..ranks).fold(0u32, |sum, rank| sum.wrapping_add(value(rank, turn, place)));
        result.wrong |= vector.iter().enumerate().any(|(place, number)| *number != sum(place));
        result.bytes = bytes as u64;
        let all: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
        result.checksum = crc32fast::hash(&all);
        Ok(())
    }
}

/// What a job gave.
#[derive(Default)]
struct Outcome {
    bytes: u64,
    wrong: bool,
    checksum: u32,
    round_trips: Option<RoundTrips>,
    received: Vec<u8>,
}

/// A rank's number at a place of its vector.
fn value(rank: u32, turn: u32, place: usize) -> u32 {
    mix64(u64::from(rank) << 48 ^ u64::from(turn) << 40 ^ place as u64) as u32
}

/// What was counted since `before`.
fn since(before: &EndpointCounters, now: &EndpointCounters) -> BTreeMap<&'static str, u64> {
    let all = before.entries().into_iter().zip(now.entries());
    all.map(|((name, before), (_, now))| (name, now - before))
        .filter(|(_, count)| *count > 0)
        .collect()
}
