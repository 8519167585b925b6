//! Where a message's time went: its completion time cut into pieces without gap or overlap.
//!
//! The pieces are found from the end backwards, along what caused what: the acknowledgement that completed the message,
//! its way back, the packet that it answers, that packet's way there, and what kept the sender from sending it earlier.
//! Of all packets of a message only those on this chain count; the others had arrived by then, or were on their way at
//! the same time.
//!
//! - this file: what an explanation is; `chain`: from the end to the beginning; `way`: a packet through the fabric;
//!   `wait`: at the sender; `text`: for people
//!
//! A run is watched with [`fabric::watch`] and a capture of all ports.

mod chain;
mod text;
mod wait;
mod way;

use std::collections::BTreeMap;

use fabric::capture::CaptureRecord;
use fabric::fault::{Change, Direction, Fault};
use fabric::graph::Graph;
use fabric::ids::{HostId, NodeId, PortId};
use fabric::layout::Layout;
use fabric::probe::MessageRecord;
use fabric::units::{Rate, Span, Time};
use fabric::watch::Notes;
use serde::{Deserialize, Serialize};

use way::Frames;

/// What a piece of time was spent on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A packet of the message, or an answer to it, is put on a wire bit by bit.
    Serialisation,
    /// On a link.
    Propagation,
    /// In the fixed pipeline of a switch or NIC.
    Processing,
    /// In an egress queue, behind other packets.
    Queueing,
    /// Held back by priority flow control or by credits of the link.
    Paused,
    /// Link-level retry: sent over the link again.
    LinkRetry,
    /// The congestion window, or the range of sequence numbers, was full.
    Window,
    /// The receiver had given no credit, or had not pulled.
    Credit,
    /// The rate of the connection.
    Rate,
    /// Other traffic of the same host had the NIC.
    Nic,
    /// Earlier messages on the same connection.
    Behind,
    /// The other host had not asked for the data (READ, rendezvous).
    Asked,
    /// The connection was set up.
    Opening,
    /// The other host was out of resources.
    Refused,
    /// A packet was sent and did not arrive whole: from its first departure to the last one.
    Retransmission,
    /// The receiver had the packet and its answer had not left; of what did not finish, all was sent and no answer came.
    Answer,
    /// At a host, after the last packet came.
    Host,
    /// Not known.
    Unknown,
}

impl Cause {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Serialisation => "serialisation",
            Cause::Propagation => "propagation",
            Cause::Processing => "processing",
            Cause::Queueing => "queueing",
            Cause::Paused => "paused",
            Cause::LinkRetry => "link retry",
            Cause::Window => "window limited",
            Cause::Credit => "credit limited",
            Cause::Rate => "rate limited",
            Cause::Nic => "waiting for the NIC",
            Cause::Behind => "behind other messages",
            Cause::Asked => "waiting to be asked",
            Cause::Opening => "connection set-up",
            Cause::Refused => "receiver out of resources",
            Cause::Retransmission => "retransmission",
            Cause::Answer => "no answer yet",
            Cause::Host => "host",
            Cause::Unknown => "not known",
        }
    }
}

/// On which part of a message's way a piece lies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leg {
    /// At the host that sends the data, or asks for it.
    Sender,
    /// A request on its way to the host that has the data (READ).
    Request,
    /// The data that counted, on its way.
    Data,
    /// The answer to it, from the receiving transport to the sender's.
    Answer,
}

impl Leg {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Leg::Sender => "sender",
            Leg::Request => "request",
            Leg::Data => "data",
            Leg::Answer => "answer",
        }
    }
}

/// A stretch of a message's time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Piece {
    /// On which part of the way.
    pub leg: Leg,
    /// What it was spent on.
    pub cause: Cause,
    /// A node, or `NODE > NODE` for what happened at the port of the first towards the second.
    pub place: String,
    /// From then, in picoseconds.
    pub from_ps: u64,
    /// To then.
    pub to_ps: u64,
    /// More about it, if there is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// How a message came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// All of it was acknowledged to its sender.
    Acknowledged,
    /// All of it was received; its sender waited for nothing (datagrams).
    Received,
    /// Its transport gave up.
    Failed,
    /// The run ended before.
    Unfinished,
}

/// Where the time of a message went.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The variant.
    pub variant: String,
    /// The workload.
    pub workload: String,
    /// The message's number.
    pub message: u32,
    /// Sending host.
    pub src: u32,
    /// Receiving host.
    pub dst: u32,
    /// Payload bytes.
    pub bytes: u64,
    /// When it was posted, in picoseconds.
    pub posted_ps: u64,
    /// When it came to its end.
    pub end_ps: u64,
    /// How.
    pub end: End,
    /// In order of time; each begins where the one before ends, the first at `posted_ps`, the last ends at `end_ps`.
    pub pieces: Vec<Piece>,
}

impl Explanation {
    /// From posting to the end.
    pub fn time(&self) -> Span {
        Span(self.end_ps - self.posted_ps)
    }

    /// The time spent on each cause, the longest first.
    pub fn causes(&self) -> Vec<(Cause, Span)> {
        let mut causes: BTreeMap<Cause, Span> = BTreeMap::new();
        for piece in &self.pieces {
            let time = causes.entry(piece.cause).or_insert(Span::ZERO);
            *time = *time + Span(piece.to_ps - piece.from_ps);
        }
        let mut causes: Vec<(Cause, Span)> = causes.into_iter().collect();
        causes.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
        causes
    }

    /// The nodes that the data packet that counted went by, in order, as far as they are known.
    pub fn path(&self) -> Vec<&str> {
        let of_data = self
            .pieces
            .iter()
            .filter(|piece| piece.leg == Leg::Data && piece.cause == Cause::Propagation);
        let mut path: Vec<&str> = Vec::new();
        for (from, to) in of_data.filter_map(|piece| piece.place.split_once(" > ")) {
            if path.is_empty() {
                path.push(from);
            }
            path.push(to);
        }
        path
    }
}

/// The fabric of a run, as far as times in it need to be known.
pub struct Fabric<'a> {
    /// Nodes and links.
    pub graph: &'a Graph,
    /// Its ports.
    pub layout: Layout,
    /// From the end of a frame at a host to its transport.
    pub host_latency: Span,
    /// Bytes of a frame on the wire beside those that are counted.
    pub frame_overhead: u16,
    /// Links send frames again that were lost on them.
    pub llr: bool,
    /// Changes of links.
    pub faults: &'a [Fault],
}

impl Fabric<'_> {
    fn name(&self, node: NodeId) -> String {
        self.graph.name(node)
    }

    fn host_name(&self, host: HostId) -> String {
        self.name(NodeId(host.0))
    }

    /// The port and where it leads.
    fn port_name(&self, port: PortId) -> String {
        let peer = self.layout.node_of(self.layout.peer_of(port));
        format!("{} > {}", self.name(self.layout.node_of(port)), self.name(peer))
    }

    /// From the end of a frame at a node to the end of its processing.
    fn pipeline(&self, node: NodeId) -> Span {
        self.graph.switch(node).map_or(self.host_latency, |switch| switch.latency)
    }

    /// How long a frame takes onto the wire of a port at that time.
    fn serialisation(&self, port: PortId, bytes: u16, at: Time) -> Span {
        let (link, is_a) = self.layout.link_of(port);
        let built = self.graph.links[link.index()].rate;
        let touches = |fault: &&Fault| {
            let own = match fault.direction {
                Direction::Both => true,
                Direction::Up => is_a,
                Direction::Down => !is_a,
            };
            fault.link == link && fault.at <= at && own
        };
        let ratio = |fault: &Fault| match fault.change {
            Change::Rate { ratio, .. } => Some(ratio),
            _ => None,
        };
        let changes = self.faults.iter().filter(touches);
        let last =
            changes.filter_map(|fault| Some((fault.at, ratio(fault)?))).max_by_key(|(at, _)| *at);
        let rate: Rate = last.map_or(built, |(_, ratio)| built.scaled(ratio));
        rate.time_for(u64::from(bytes) + u64::from(self.frame_overhead))
    }
}

/// What was seen of a run.
pub struct Seen<'a> {
    /// Its fabric.
    pub fabric: Fabric<'a>,
    /// What passed its ports.
    frames: Frames<'a>,
    /// What hosts noted.
    notes: &'a BTreeMap<HostId, Notes>,
    /// The end of the run.
    end: Time,
}

impl<'a> Seen<'a> {
    /// Of a run that ended at `end`, with the packets of all watched messages captured at all ports.
    pub fn new(
        fabric: Fabric<'a>,
        capture: &'a CaptureRecord,
        notes: &'a BTreeMap<HostId, Notes>,
        end: Time,
    ) -> Seen<'a> {
        Seen { fabric, frames: Frames::new(capture), notes, end }
    }

    /// Where the time of a watched message of a workload went.
    pub fn explain(&self, variant: &str, workload: &str, message: &MessageRecord) -> Explanation {
        let (end, at) = match () {
            () if message.acked > message.posted && message.acked != Time::NEVER => {
                (End::Acknowledged, message.acked)
            }
            () if message.received != Time::NEVER => (End::Received, message.received),
            () if message.failed != Time::NEVER => (End::Failed, message.failed),
            () => (End::Unfinished, self.end.max(message.posted)),
        };
        Explanation {
            variant: variant.to_owned(),
            workload: workload.to_owned(),
            message: message.id.0,
            src: message.src.0,
            dst: message.dst.0,
            bytes: message.bytes,
            posted_ps: message.posted.0,
            end_ps: at.0,
            end,
            pieces: self.chain(message, end, at),
        }
    }
}
