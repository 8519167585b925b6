//! Arguments of `endpoint`.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use ::live::endpoint::config::{LEAST_MTU, MOST_MTU};
use clap::{Args, Subcommand, ValueEnum};
use fabric::units::{Rate, Span, parse_bytes, parse_rate, parse_span};

use super::Output;

/// Protocols of endpoints.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Transport {
    /// Ultra Ethernet: reliable, unordered, sprayed, NSCC.
    #[default]
    Uet,
    /// RoCEv2: reliable connection, go-back-N, DCQCN.
    Roce,
}

/// Arguments of `endpoint`.
#[derive(Debug, Args)]
pub struct Endpoint {
    /// What to do.
    #[command(subcommand)]
    pub job: EndpointJob,
    /// Addresses of all endpoints, the same list everywhere; their places in it are their ranks.
    #[arg(
        long,
        value_name = "ADDRESS,…",
        value_delimiter = ',',
        global = true,
        conflicts_with = "session"
    )]
    pub peers: Vec<Ipv4Addr>,
    /// The rank of this endpoint.
    #[arg(long, value_name = "N", global = true, conflicts_with = "session")]
    pub rank: Option<u32>,
    /// Run an endpoint in every namespace of this session of `ultraloom live`; ranks are in the order of hosts.
    #[arg(long, value_name = "NAME", global = true)]
    pub session: Option<String>,
    /// Protocol.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub transport: Transport,
    /// Rate of the NIC: no more is sent.
    #[arg(long, value_name = "RATE", default_value = "1 Gb/s", value_parser = parse_rate, global = true)]
    pub rate: Rate,
    /// The longest unloaded round trip, with the software at both ends and in between; windows and timeouts follow it. No shorter
    /// than four full packets take.
    #[arg(long, value_name = "TIME", default_value = "4 ms", value_parser = parse_span, global = true)]
    pub rtt: Span,
    /// Bytes of an IP packet at most, 384 to 9216 [default: the interface's].
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(LEAST_MTU as i64..=MOST_MTU as i64), global = true)]
    pub mtu: Option<u16>,
    /// UET: switches drop instead of trimming.
    #[arg(long, global = true)]
    pub no_trimming: bool,
    /// UET: entropy values, a power of two; RoCE: UDP source ports that connections choose from.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024), global = true)]
    pub entropy_values: u16,
    /// UET: receiver credit (RCCC) beside NSCC.
    #[arg(long, global = true)]
    pub rccc: bool,
    /// Seed of start PSNs and of the choice of entropy values.
    #[arg(long, value_name = "N", default_value_t = 1, global = true)]
    pub seed: u64,
    /// Give up after this long by the clock; others may be started within it.
    #[arg(long, value_name = "TIME", default_value = "60 s", value_parser = parse_span, global = true)]
    pub timeout: Span,
    /// What to print.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub output: Output,
}

/// What endpoints do.
#[derive(Debug, Subcommand)]
pub enum EndpointJob {
    /// Send a file, or bytes of a pattern, to another endpoint, which receives.
    Send {
        /// The rank that receives; with --session the host.
        #[arg(long, value_name = "RANK")]
        to: u32,
        /// With --session: the host that sends.
        #[arg(long, value_name = "HOST", requires = "session")]
        from: Option<u32>,
        /// What to send.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// How much to send of a pattern.
        #[arg(long, value_name = "BYTES", default_value = "1 MiB", value_parser = parse_bytes, conflicts_with = "file")]
        bytes: u64,
    },
    /// Receive what another endpoint sends.
    Receive {
        /// The rank that sends.
        #[arg(long, value_name = "RANK")]
        from: u32,
        /// Where to write it; must not exist [default: nowhere].
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Send a message back and forth between ranks 0 and 1, and measure.
    PingPong {
        /// Its bytes.
        #[arg(long, value_name = "BYTES", default_value = "8 B", value_parser = parse_bytes)]
        bytes: u64,
        /// How often.
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        count: u32,
    },
    /// Add up vectors of all endpoints in a ring, and check the sums.
    AllReduce {
        /// Bytes of each vector, of 32-bit numbers.
        #[arg(long, value_name = "BYTES", default_value = "1 MiB", value_parser = parse_bytes)]
        bytes: u64,
        /// How often.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        count: u32,
    },
}
