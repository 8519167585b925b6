//! A scenario as data.

use std::collections::BTreeMap;

use fabric::config::Choice;
use fabric::fault::{Change, Direction};
use fabric::link::{FrameErrors, LlrConfig};
use fabric::shape::Paths;
use fabric::units::{Rate, Ratio, Span};
use results::claims::Claim;
use topologies::placement::Placement;
use transports::roce::config::{Operation, Preset, QpScope};
use transports::tcp::config::Control;
use workloads::algorithms::Algorithm;
use workloads::collective::Kind;

use crate::error::Origin;
pub use crate::scenario::jobs::{BurstOptions, Job, JobsOptions, Seats};
pub use crate::scenario::live::{AttachedHost, Attachment, LiveOptions};
pub use crate::scenario::programs::{
    ProgramOptions, ProgramSource, ServingOptions, TraceFile, TrainingOptions, Ways,
};
pub use crate::scenario::records::RecordOptions;
pub use crate::scenario::topology::{BuildingOptions, ScaleUpOptions, TopologyKind};
pub use crate::scenario::uet::UetOptions;

/// A scenario, checked and complete.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// Seed of all random streams.
    pub seed: u64,
    /// What is compared.
    pub variants: Vec<Variant>,
    /// What it says of its own results.
    pub claims: Vec<Claim>,
    /// What is recorded of its runs.
    pub records: RecordOptions,
    /// What is attached when it runs live, and how that goes.
    pub live: LiveOptions,
    /// The scenario after all overrides, as TOML.
    pub resolved: String,
}

/// One of the things compared.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// Modelling conventions.
    pub profile: Profile,
    /// The fabric.
    pub topology: Topology,
    /// Switches, where they differ from the profile's.
    pub switch: SwitchOptions,
    /// Links.
    pub link: LinkOptions,
    /// The transport.
    pub transport: Transport,
    /// What is sent, one after the other.
    pub workloads: Vec<Workload>,
    /// Changes of links.
    pub faults: Vec<Fault>,
    /// Frames to record.
    pub capture: Option<Capture>,
    /// Simulated time after which a run ends.
    pub until: Option<Span>,
}

/// Modelling conventions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// Frames with all headers, preamble and gap; switches and hosts take time.
    Ethernet,
    /// The reference simulator's (`htsim-profile.md`).
    Htsim,
    /// The HPCC authors' ns-3 model's (`ns3-rdma-profile.md`).
    Ns3Rdma,
}

/// `[topology]`.
#[derive(Clone, Debug)]
pub struct Topology {
    /// Its shape.
    pub kind: TopologyKind,
    /// Hosts; `None`: as many as the first matrix has, or 128.
    pub hosts: Option<u32>,
    /// Rate of links.
    pub link_rate: Option<Rate>,
    /// Delay of links.
    pub link_delay: Option<Span>,
    /// Latency of switches.
    pub switch_latency: Option<Span>,
    /// Receive latency of hosts.
    pub host_latency: Option<Span>,
    /// Shared buffer of a lossless switch, in bytes.
    pub buffer: Option<u64>,
    /// That of switches of the top tier, if they have another.
    pub spine_buffer: Option<u64>,
    /// Copies of the network, with a port of each host in each.
    pub planes: u32,
    /// Several buildings.
    pub buildings: Option<BuildingOptions>,
    /// Domains with a network of their own.
    pub scale_up: Option<ScaleUpOptions>,
    /// How switches choose among equal ports, and learn of dead links.
    pub routing: RoutingOptions,
    /// Where the section stands.
    pub origin: Option<Origin>,
    /// Where its keys stand.
    pub places: BTreeMap<String, Origin>,
}

/// A file that a scenario names.
#[derive(Clone, Debug)]
pub struct File {
    /// Its path, resolved against the scenario's folder.
    pub path: std::path::PathBuf,
    /// Where it is named.
    pub origin: Origin,
}

/// `routing` of `[topology]`.
#[derive(Clone, Debug, Default)]
pub struct RoutingOptions {
    /// Choice among equal ports.
    pub choice: Choice,
    /// Pause that ends a flowlet; `None`: each packet chooses.
    pub flowlet_gap: Option<Span>,
    /// When switches route around dead links; `None`: by profile.
    pub convergence: Option<Convergence>,
    /// Paths that a file gives.
    pub pinned: Option<Pinned>,
    /// What RoCE's packets are hashed by.
    pub hash: Hash,
    /// Which ways packets take in direct networks.
    pub paths: Paths,
    /// Where that is said.
    pub paths_origin: Option<Origin>,
}

/// Paths that a file gives.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// The file.
    pub file: File,
    /// Which of its cases.
    pub case: Option<String>,
}

/// What RoCE's packets are hashed by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Hash {
    /// Also by the queue pair they go to: every queue pair has its path (enhanced ECMP).
    #[default]
    DestinationQp,
    /// By addresses and ports, which all queue pairs of two hosts share.
    FiveTuple,
}

/// When switches route around dead links.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Convergence {
    /// Never.
    Never,
    /// So long after a link changed.
    After(Span),
}

/// `[switch]`: byte counts hold for ports at the hosts' link rate.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct SwitchOptions {
    /// Bytes below which nothing is marked.
    pub ecn_kmin: Option<u64>,
    /// Bytes above which all is marked.
    pub ecn_kmax: Option<u64>,
    /// Chance of a mark just below `ecn_kmax`.
    pub ecn_pmax: Option<Ratio>,
    /// Most bytes in a data queue.
    pub queue: Option<u64>,
    /// Priority flow control on the data class.
    pub lossless: Option<bool>,
    /// Weight of control against data; none: control goes first.
    pub control_weight: Option<u32>,
    /// Share of trimmed packets beside data; 0: they go with control.
    pub trimmed_weight: Option<f64>,
    /// Headroom of a port for lossless data, in bytes.
    pub headroom: Option<u64>,
    /// When a pause has lasted too long.
    pub pfc_watchdog: Option<Span>,
    /// How long the watchdog drops.
    pub pfc_watchdog_restore: Option<Span>,
}

/// `[link]`: what all links do.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LinkOptions {
    /// Frames in error.
    pub errors: FrameErrors,
    /// Link-level retry.
    pub llr: Option<LlrConfig>,
    /// Credit-based flow control; where it is asked for.
    pub cbfc: Option<Origin>,
    /// Credits of a class at an ingress port, in bytes, and where they are given; `None`: what keeps the
    /// link busy.
    pub credits: Option<(u64, Origin)>,
}

/// `[transport]`.
#[derive(Clone, PartialEq, Debug)]
pub enum Transport {
    /// Ultra Ethernet Transport.
    Uet(Box<UetOptions>),
    /// RoCEv2.
    Roce(RoceOptions),
    /// NDP, SRD-like, STrack-like.
    Sprayed(SprayedOptions),
    /// TCP.
    Tcp(TcpOptions),
}

/// TCP, where it differs from its defaults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpOptions {
    /// Congestion control.
    pub congestion: Option<Control>,
    /// Payload of a full segment.
    pub payload: Option<u16>,
    /// Send and receive buffers of a connection.
    pub buffer: Option<u32>,
    /// How many times faster the stack's clock runs.
    pub dilation: Option<u32>,
}

/// A sprayed rival, where it differs from its defaults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SprayedOptions {
    /// Which.
    pub kind: SprayedKind,
    /// Payload of a full packet.
    pub payload: Option<u16>,
    /// Entropy values of a connection.
    pub paths: Option<u16>,
    /// Retransmission timeout.
    pub timeout: Option<Span>,
}

/// The sprayed rivals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SprayedKind {
    /// SRD-like.
    Srd,
    /// STrack-like.
    Strack,
    /// NDP.
    Ndp,
}

/// RoCE, where it differs from the preset's.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RoceOptions {
    /// Congestion control.
    pub congestion: RoceCongestion,
    /// Form and constants of DCQCN, and marking.
    pub preset: Preset,
    /// Whether a window of one bandwidth-delay product bounds what is outstanding.
    pub window: bool,
    /// Payload of a full packet.
    pub payload: Option<u16>,
    /// Packets that cause an acknowledgement.
    pub ack_every: Option<u32>,
    /// Longest that an acknowledgement waits for others.
    pub ack_delay: Option<Span>,
    /// Local ACK timeout.
    pub timeout: Option<RoceTimeout>,
    /// Timeouts in a row after which a queue pair is given up.
    pub retries: Option<u32>,
    /// What happens when packets are missing.
    pub recovery: RoceRecovery,
    /// Selective repeat: how long a gap may last before it is a loss; `None`: the base round trip.
    pub patience: Option<Span>,
    /// Which messages share a queue pair.
    pub qp_scope: Option<QpScope>,
    /// From the first message on a queue pair to its first packet.
    pub qp_setup: Option<Span>,
    /// What messages are.
    pub operation: Option<Operation>,
    /// HPCC: utilisation aimed at.
    pub hpcc_eta: Option<f64>,
    /// HPCC: round trips of additive increase before a multiplicative one.
    pub hpcc_max_stage: Option<u32>,
}

/// Congestion control of RoCE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoceCongestion {
    /// DCQCN, by the preset.
    Dcqcn,
    /// HPCC.
    Hpcc,
    /// TIMELY.
    Timely,
    /// Swift.
    Swift,
    /// DCTCP with a rate.
    Dctcp,
    /// Line rate.
    None,
}

/// What RoCE does about missing packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoceRecovery {
    /// Starts over from the first.
    GoBackN,
    /// Sends them again once reordering cannot explain them, as recent NICs do.
    SelectiveRepeat,
    /// IRN: sends them again at the first sign; no flow control of links.
    Irn,
}

/// A local ACK timeout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoceTimeout {
    /// None.
    Never,
    /// After so long.
    After(Span),
}

/// `[capture]`.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The ports.
    pub ports: Vec<PortName>,
    /// Nothing before this.
    pub from: Span,
    /// Nothing from this on.
    pub until: Option<Span>,
    /// Most frames, shared evenly by the ports.
    pub frames: u64,
    /// Bytes kept of a frame; `None`: all.
    pub snap: Option<usize>,
}

/// Ports by name.
#[derive(Clone, Debug)]
pub struct PortName {
    /// Their node.
    pub node: String,
    /// The node at the other end; `None`: all ports of `node`.
    pub towards: Option<String>,
    /// Where it stands.
    pub origin: Origin,
}

impl Variant {
    /// Its workloads, and those of which they consist.
    pub fn every_workload(&self) -> impl Iterator<Item = &Workload> {
        self.workloads.iter().flat_map(|workload| workload.parts().into_iter().chain([workload]))
    }
}

impl Workload {
    /// The workloads of which it consists.
    fn parts(&self) -> Vec<&Workload> {
        match &self.kind {
            WorkloadKind::Jobs(options) => options.jobs.iter().map(|job| &job.workload).collect(),
            _ => Vec::new(),
        }
    }
}

/// `[workload]`.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its name: the kind, or what the scenario says.
    pub name: String,
    /// Its place among all workloads of the variant, those within jobs included.
    pub number: usize,
    /// What is sent.
    pub kind: WorkloadKind,
    /// Where the section stands.
    pub origin: Option<Origin>,
}

/// Kinds of workloads.
#[derive(Clone, Debug)]
pub enum WorkloadKind {
    /// Flows of a matrix file.
    Matrix(File),
    /// Every host sends to another.
    Permutation {
        /// Bytes of each flow.
        bytes: u64,
        /// Which permutation.
        seed: u64,
    },
    /// Flows that arrive at random.
    Poisson {
        /// Their sizes.
        sizes: FlowSizes,
        /// Bandwidth asked for over that of the hosts' links.
        load: f64,
        /// Flows arrive up to then.
        duration: Span,
        /// Which draws.
        seed: u64,
    },
    /// Many hosts send to one.
    Incast {
        /// Bytes of each flow.
        bytes: u64,
        /// Sending hosts; `None`: all others.
        senders: Option<u32>,
        /// Receiving host.
        receiver: u32,
    },
    /// A collective.
    Collective(Box<CollectiveOptions>),
    /// Bursts of flows to one host each.
    Bursts(BurstOptions),
    /// Programs that compute and communicate.
    Program(Box<ProgramOptions>),
    /// Inference with prefill and decoding apart.
    Serving(Box<ServingOptions>),
    /// Several workloads side by side.
    Jobs(Box<JobsOptions>),
}

/// A collective, as asked for.
#[derive(Clone, Debug)]
pub struct CollectiveOptions {
    /// Which.
    pub kind: Kind,
    /// Buffer; of an all-to-all from each rank to each other.
    pub bytes: u64,
    /// How; `None`: by size.
    pub algorithm: Option<Algorithm>,
    /// Whether the scenario says how.
    pub asked: bool,
    /// The rank that has, or gets, all.
    pub root: u32,
    /// Parts that go different ways.
    pub channels: u32,
    /// Parts that follow each other.
    pub chunks: u32,
    /// Ranks of a domain; `None`: as the topology has them.
    pub domain: Option<u32>,
    /// Messages of a rank in flight.
    pub window: u32,
    /// Bytes from each rank to each.
    pub matrix: Option<File>,
    /// What it costs besides its bytes.
    pub costs: CollectiveCosts,
    /// Ranks.
    pub ranks: Ranks,
}

/// What collectives cost besides their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CollectiveCosts {
    /// How data is framed.
    pub protocol: Protocol,
    /// How fast data is added; `None`: at once.
    pub reduce_rate: Option<Rate>,
    /// Before each message.
    pub step_overhead: Option<Span>,
}

/// NCCL's protocols.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// Data alone.
    Simple,
    /// A flag of 4 bytes with each 4 bytes of data.
    Ll,
    /// A flag of 8 bytes with each 120 bytes of data.
    Ll128,
}

/// Sizes of flows that arrive at random.
#[derive(Clone, Debug)]
pub enum FlowSizes {
    /// A published distribution, by name.
    Published(&'static str),
    /// All the same.
    Fixed(u64),
    /// A file of sizes and shares.
    File(File),
}

/// Ranks and where they sit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ranks {
    /// How many; `None`: one a host.
    pub count: Option<u32>,
    /// Where.
    pub placement: Placement,
}

/// `[[fault]]`.
#[derive(Clone, Debug)]
pub struct Fault {
    /// When.
    pub at: Span,
    /// What.
    pub kind: FaultKind,
    /// Where it stands.
    pub origin: Origin,
}

/// Kinds of faults.
#[derive(Clone, Debug)]
pub enum FaultKind {
    /// Links change.
    Link {
        /// Which link; `None`: all.
        link: Option<LinkName>,
        /// Which directions of it.
        direction: Direction,
        /// How.
        change: Change,
        /// When that ends, and the change that ends it.
        end: Option<(Span, Change)>,
    },
    /// A link goes down and comes up again, `count` times.
    Flap {
        /// Which link.
        link: LinkName,
        /// From one time that it goes down to the next.
        period: Span,
        /// How long it is down.
        down: Span,
        /// How often.
        count: u32,
    },
    /// A switch fails, or comes back.
    Switch {
        /// Which switch.
        switch: SwitchName,
        /// It comes back.
        up: bool,
        /// When one that fails comes back.
        until: Option<Span>,
    },
    /// The first links from the top tier downwards run at a ratio of their rate, queues scaled too.
    DegradeCoreLinks {
        /// How many.
        count: usize,
        /// Ratio of their rate.
        ratio: Ratio,
    },
}

/// A link by the names of its ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkName {
    /// One end.
    pub a: String,
    /// The other end.
    pub b: String,
}

/// A switch by name.
#[derive(Clone, Debug)]
pub struct SwitchName {
    /// The name, like `tor:0`.
    pub name: String,
    /// Where it stands.
    pub origin: Origin,
}
