//! A small fabric and the simplest transport that can fill it, for tests of the engine itself.

use fabric::assemble::{Extent, Parts, assemble};
use fabric::capture::Capture;
use fabric::config::{
    Buffer, ClassConfig, Ecn, FabricConfig, Overflow, Routing, Schedule, SharedBuffer,
};
use fabric::endpoint::{Completion, Endpoint, HostCx, Message, Send, TimerId};
use fabric::engine::Progress;
use fabric::error::AssembleError;
use fabric::fault::{Fault, SwitchFault};
use fabric::graph::{Graph, Link, RouteRule, Switch};
use fabric::ids::{Class, HostId, MessageId, NodeId};
use fabric::link::LinkConfig;
use fabric::packet::{Kind, Packet, flags};
use fabric::probe::RunRecord;
use fabric::program::{Program, ProgramCx};
use fabric::run::Run;
use fabric::series::Sampling;
use fabric::units::{Rate, Ratio, Span, Time};
use std::collections::VecDeque;

/// Frame length of the toy transport's data.
pub(crate) const FRAME: u64 = 1_000;

/// Sends every message at line rate in packets of [`FRAME`], each acknowledged; resends nothing. The
/// last acknowledgement completes the message, so it suits runs without loss; with loss, messages stay
/// unfinished.
#[derive(Default)]
pub(crate) struct Blaster {
    control: VecDeque<Packet>,
    sending: VecDeque<(Message, u64)>,
    acked: Vec<u64>,
    arrived: Vec<(u32, u64)>,
    entropy: u16,
    /// Hosts of odd number send in the class after [`Class::DATA`].
    pub(crate) two_classes: bool,
    /// Data is of a protocol that switches do not know.
    pub(crate) is_foreign: bool,
}

fn packets(bytes: u64) -> u64 {
    bytes.div_ceil(FRAME)
}

impl Endpoint for Blaster {
    fn on_post(&mut self, _: &mut HostCx<'_>, message: Message) {
        self.acked.resize(self.acked.len().max(message.slot as usize + 1), 0);
        self.acked[message.slot as usize] = packets(message.bytes);
        self.sending.push_back((message, packets(message.bytes)));
    }

    fn on_packet(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        if packet.kind == Kind::Ack {
            let left = &mut self.acked[packet.body[0] as usize];
            *left -= 1;
            if *left == 0 {
                cx.completions.push(Completion::Sent { slot: packet.body[0] as u32 });
            }
            return;
        }
        if packet.has(flags::TRIMMED) {
            cx.counters.trimmed += 1;
            return;
        }
        cx.counters.ecn_marked += u64::from(packet.has(flags::CE));
        let message = packet.body[1] as u32;
        let place = self.arrived.iter().position(|entry| entry.0 == message);
        let place = place.unwrap_or_else(|| {
            self.arrived.push((message, packet.body[2]));
            self.arrived.len() - 1
        });
        self.arrived[place].1 -= 1;
        if self.arrived[place].1 == 0 {
            let message = MessageId(message);
            cx.completions.push(Completion::Received { message, src: packet.src });
        }
        let ack = Packet { dst: packet.src, src: cx.host, kind: Kind::Ack, bytes: 64, ..*packet };
        self.control.push_back(Packet { class: Class::CONTROL, flags: 0, ..ack });
    }

    fn on_timer(&mut self, _: &mut HostCx<'_>, _: TimerId) {
        unreachable!("the toy sets no timers")
    }

    fn poll_send(&mut self, cx: &mut HostCx<'_>, _: u8, paused: u8) -> Send {
        if let Some(packet) = self.control.pop_front() {
            return Send::Packet(packet);
        }
        if paused & Class::DATA.bit() != 0 {
            return Send::Idle;
        }
        let Some((message, left)) = self.sending.pop_front() else { return Send::Idle };
        if left > 1 {
            self.sending.push_back((message, left - 1));
        }
        self.entropy = self.entropy.wrapping_add(1);
        cx.counters.new += 1;
        Send::Packet(Packet {
            dst: message.dst,
            src: cx.host,
            flow: (cx.host.0 << 8) | message.slot,
            psn: left as u32,
            entropy: self.entropy,
            bytes: FRAME as u16,
            flags: flags::ECN_CAPABLE,
            kind: if self.is_foreign { Kind::Foreign } else { Kind::Data },
            class: Class(1 + u8::from(self.two_classes) * (cx.host.0 % 2) as u8),
            body: [u64::from(message.slot), u64::from(message.id.0), packets(message.bytes), 0, 0],
            ..Packet::default()
        })
    }
}

/// Posts a fixed list of messages at their times.
pub(crate) struct List(pub(crate) Vec<(Time, MessageId, HostId, u64)>);

impl Program for List {
    fn on_start(&mut self, cx: &mut ProgramCx<'_>) {
        for (place, entry) in self.0.iter().enumerate() {
            cx.wake_at(entry.0, place as u32);
        }
    }
    fn on_sent(&mut self, _: &mut ProgramCx<'_>, _: MessageId) {}
    fn on_received(&mut self, _: &mut ProgramCx<'_>, _: HostId, _: MessageId) {}
    fn on_wake(&mut self, cx: &mut ProgramCx<'_>, token: u32) {
        let (_, id, dst, bytes) = self.0[token as usize];
        cx.post(id, dst, bytes);
    }
    fn on_signal(&mut self, _: &mut ProgramCx<'_>, _: u32) {}
    fn unposted(&self) -> u64 {
        0
    }
}

/// `leaves` leaf switches with `each` hosts, all joined to `spines` spines; 400 Gb/s, 1 us.
pub(crate) fn leaf_spine(leaves: u32, each: u32, spines: u32) -> Graph {
    let hosts = leaves * each;
    let (rate, delay) = (Rate::from_gbps(400), Span::from_micros(1));
    let mut graph = Graph { hosts, tier_names: vec!["leaf", "spine"], ..Graph::default() };
    for leaf in 0..leaves {
        let route = RouteRule::UpDown {
            first_host: leaf * each,
            host_count: each,
            hosts_per_child: 1,
            down_base: 0,
            bundle: 1,
            up_base: each as u16,
            up_count: spines as u16,
        };
        graph.switches.push(Switch { tier: 0, index: leaf, latency: Span::ZERO, route });
    }
    for spine in 0..spines {
        let route = RouteRule::UpDown {
            first_host: 0,
            host_count: hosts,
            hosts_per_child: each,
            down_base: 0,
            bundle: 1,
            up_base: 0,
            up_count: 0,
        };
        graph.switches.push(Switch { tier: 1, index: spine, latency: Span::ZERO, route });
    }
    for host in 0..hosts {
        graph.links.push(Link { a: NodeId(host), b: NodeId(hosts + host / each), rate, delay });
    }
    for leaf in 0..leaves {
        for spine in 0..spines {
            let (a, b) = (NodeId(hosts + leaf), NodeId(hosts + leaves + spine));
            graph.links.push(Link { a, b, rate, delay });
        }
    }
    graph
}

/// Two classes; data with `limit` bytes and `overflow`.
pub(crate) fn config(limit: u64, overflow: Overflow) -> FabricConfig {
    let control = ClassConfig {
        limit: 1 << 20,
        ecn: None,
        overflow: Overflow::TailDrop,
        schedule: Schedule::Strict,
        lossless: false,
    };
    let ecn = Some(Ecn { kmin: 20_000, kmax: 80_000, pmax: Ratio::ONE });
    let data = ClassConfig { limit, ecn, overflow, ..control };
    FabricConfig {
        reference_rate: Rate::from_gbps(400),
        classes: vec![control, data],
        host_facing: None,
        buffer: Buffer::PerQueue,
        frame_overhead: 0,
        host_latency: Span::ZERO,
        pfc_bytes: 64,
        link: LinkConfig::default(),
        routing: Routing::default(),
        telemetry: None,
    }
}

/// The same with a shared buffer and lossless data.
pub(crate) fn lossless(buffer: u64) -> FabricConfig {
    let mut config = config(u64::MAX, Overflow::TailDrop);
    config.classes[1].lossless = true;
    config.buffer = Buffer::Shared(SharedBuffer {
        top_tier_bytes: None,
        bytes: buffer,
        reserve: 4_096,
        headroom_bdps: 3,
        headroom_bytes: 4 * FRAME,
        alpha_shift: 3,
        resume_offset: 3_072,
        watchdog: None,
    });
    config
}

/// A run of the toy transport.
pub(crate) struct Case {
    pub(crate) graph: Graph,
    pub(crate) config: FabricConfig,
    pub(crate) messages: Vec<(Time, HostId, HostId, u64)>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) switch_faults: Vec<SwitchFault>,
    pub(crate) capture: Option<Capture>,
    /// What is recorded over time.
    pub(crate) sampling: Option<Sampling>,
    pub(crate) seed: u64,
    pub(crate) two_classes: bool,
    pub(crate) is_foreign: bool,
}

impl Case {
    pub(crate) fn new(graph: Graph, config: FabricConfig) -> Case {
        Case {
            graph,
            config,
            messages: Vec::new(),
            faults: Vec::new(),
            switch_faults: Vec::new(),
            capture: None,
            sampling: None,
            seed: 1,
            two_classes: false,
            is_foreign: false,
        }
    }

    pub(crate) fn send(mut self, src: u32, dst: u32, bytes: u64) -> Case {
        self.messages.push((Time::ZERO, HostId(src), HostId(dst), bytes));
        self
    }

    /// Runs on `shards` shards (nodes dealt out round robin, the worst partition) and `threads`
    /// threads.
    pub(crate) fn run(&self, shards: u32, threads: usize) -> RunRecord {
        let run = self.assemble(shards).expect("the fabric assembles");
        run.execute(threads, Time(1 << 50), &Progress::default())
    }

    /// Runs on one thread up to `until`, or until told to stop.
    pub(crate) fn run_until(&self, until: Time, progress: &Progress) -> RunRecord {
        self.assemble(2).expect("the fabric assembles").execute(1, until, progress)
    }

    /// Why the fabric does not assemble.
    pub(crate) fn error(&self) -> String {
        self.assemble(1).err().expect("an error").to_string()
    }

    pub(crate) fn assemble(&self, shards: u32) -> Result<Run<Blaster, List>, AssembleError> {
        let hosts = self.graph.hosts;
        let mut lists: Vec<List> = (0..hosts).map(|_| List(Vec::new())).collect();
        for (number, &(at, src, dst, bytes)) in self.messages.iter().enumerate() {
            lists[src.index()].0.push((at, MessageId(number as u32), dst, bytes));
        }
        let shard_of: Vec<u32> = (0..self.graph.nodes()).map(|node| node % shards).collect();
        assemble(Parts {
            graph: &self.graph,
            config: &self.config,
            endpoint: &|_, _| Blaster {
                two_classes: self.two_classes,
                is_foreign: self.is_foreign,
                ..Blaster::default()
            },
            programs: lists,
            couplings: &[],
            shard_of: &shard_of,
            faults: &self.faults,
            switch_faults: &self.switch_faults,
            capture: self.capture.as_ref(),
            sampling: self.sampling,
            seed: self.seed,
            extent: Extent::default(),
        })
    }
}
