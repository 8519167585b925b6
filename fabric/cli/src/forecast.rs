//! How much memory a run will need, said before it starts.
//!
//! A run's memory is that of its ports and hosts, of the packets that are in the fabric at once, of what
//! transports keep of each message, and of the records at its end. The figures below were fitted to runs of 128 to
//! 262,144 hosts; the test holds the forecast to what runs took. TCP's buffers depend on the largest messages, of
//! which only the mean is looked at: for sizes that differ much it is too high.

use fabric::units::Span;
use transports::uet::config::PdcScope;

use crate::error::UserError;
use crate::prepare::Prepared;
use crate::prepare::behaviour::TransportConfig;
use crate::scenario::model::{RecordOptions, Scenario, Workload};

/// The program itself.
const PROGRAM: u64 = 10 << 20;
/// A port: its state, its wire, its counters twice (while records are made).
const PORT: u64 = 1_000;
/// A host: NIC, transport, program.
const HOST: u64 = 1_500;
/// A packet that a window allows into the fabric: itself, its place on wires and in queues, what its sender
/// remembers.
const PACKET: u64 = 150;
/// A message: its log at both ends, its record.
const MESSAGE: u64 = 250;
/// A context of UET for one message, both ends.
const CONTEXT: u64 = 1_100;
/// One that stays open for all messages to a host.
const LASTING_CONTEXT: u64 = 2_600;
/// A queue pair of RoCE.
const QUEUE_PAIR: u64 = 650;
/// A connection of the sprayed rivals, or of TCP without its buffers.
const CONNECTION: u64 = 1_300;

/// Connections in the pool of a pair of hosts that sends one message after the other over TCP.
const POOL: u64 = 4;
/// Allocations from which on memory comes as it is touched.
const LAZY: u64 = 128 << 10;

/// A workload as far as memory depends on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Messages in all.
    pub messages: u64,
    /// Messages under way at once.
    pub at_once: u64,
    /// Bytes of a message.
    pub bytes: u64,
    /// Pairs of hosts that send to each other.
    pub pairs: u64,
}

impl Traffic {
    /// Both at the same time.
    pub fn and(self, other: Traffic) -> Traffic {
        let messages = self.messages + other.messages;
        let bytes = self.bytes * self.messages + other.bytes * other.messages;
        Traffic {
            messages,
            at_once: self.at_once + other.at_once,
            bytes: bytes / messages.max(1),
            pairs: self.pairs + other.pairs,
        }
    }
}

/// Bytes that a run of this workload will need.
pub fn forecast(prepared: &Prepared, workload: &Workload) -> u64 {
    let traffic = prepared.traffic(workload);
    let graph = &prepared.graph;
    let hosts = u64::from(graph.hosts);
    let (window, payload, contexts, buffers) = match &prepared.behaviour.transport {
        TransportConfig::Uet(config) => {
            let contexts = match config.pdc_scope {
                PdcScope::Message => traffic.messages * CONTEXT,
                PdcScope::Destination => traffic.pairs * u64::from(config.pdcs) * LASTING_CONTEXT,
            };
            (config.initial_window.unwrap_or(bdp(prepared) * 3 / 2), config.payload, contexts, 0)
        }
        TransportConfig::Roce(config) => {
            let most = config.window.unwrap_or(u64::MAX);
            (most, config.payload, traffic.pairs * QUEUE_PAIR, 0)
        }
        TransportConfig::Sprayed(config) => {
            (bdp(prepared), config.payload, traffic.pairs * CONNECTION, 0)
        }
        TransportConfig::Tcp(config) => {
            let buffer = u64::from(config.buffer).min(traffic.bytes.next_power_of_two());
            // Where messages follow each other, a pair has some connections in its pool.
            let connections = (POOL * traffic.pairs).min(traffic.messages);
            // The sender's buffer is never written; a small one is cleared all the same.
            let ends = if buffer < LAZY { 2 } else { 1 };
            let buffers = ends * connections * buffer;
            (u64::from(config.buffer), config.payload, connections * CONNECTION, buffers)
        }
    };
    // Whatever windows allow, congestion control keeps less than that in the fabric.
    let wire = 3 * bdp(prepared).max(1) / 2 * hosts;
    let in_flight = (traffic.at_once * window.min(traffic.bytes)).min(wire);
    let packets = (in_flight / u64::from(payload.max(1))).max(traffic.at_once);
    PROGRAM
        + 2 * graph.links.len() as u64 * PORT
        + hosts * HOST
        + packets * PACKET
        + traffic.messages * MESSAGE
        + contexts
        + buffers
}

/// A sample of a port, and its copy while records are made; half of the samples that there may be.
const SAMPLE: u64 = 64;

/// Bytes that a run of this workload will need with what is recorded of it over time.
pub fn with_records(records: &RecordOptions, prepared: &Prepared, workload: &Workload) -> u64 {
    let ports = 2 * prepared.graph.links.len() as u64;
    let most = records.sampling(ports, Span::ZERO).map_or(0, |sampling| u64::from(sampling.most));
    forecast(prepared, workload) + ports * most * SAMPLE
}

/// Memory from which on a run says beforehand what it will need.
const WORTH_SAYING: u64 = 256 << 20;

/// What a run will need, to be said before it starts, if that is much.
pub fn announcement(
    records: &RecordOptions,
    prepared: &Prepared,
    variant: &str,
    workload: &Workload,
) -> Option<String> {
    let needed = with_records(records, prepared, workload);
    let messages = prepared.traffic(workload).messages;
    (needed >= WORTH_SAYING).then(|| {
        let gibibytes = needed as f64 / f64::from(1u32 << 30);
        format!(
            "{variant}, {}: about {gibibytes:.1} GiB for {messages} messages among {} hosts",
            workload.name, prepared.graph.hosts
        )
    })
}

/// A round trip's bytes on a host's link.
fn bdp(prepared: &Prepared) -> u64 {
    let rtt: Span = prepared.behaviour.base_rtt;
    prepared.graph.links.first().map_or(0, |link| link.rate.bytes_in(rtt))
}

/// Refuses a scenario of which a run would need more than `limit` bytes.
///
/// # Errors
/// When one would, naming it.
pub fn check(scenario: &Scenario, prepared: &[Prepared], limit: u64) -> Result<(), UserError> {
    for (variant, prepared) in scenario.variants.iter().zip(prepared) {
        for workload in &variant.workloads {
            let needed = with_records(&scenario.records, prepared, workload);
            if needed > limit {
                let message = format!(
                    "{}, {}: the run would need about {} MiB; `--memory` allows {} MiB",
                    variant.name,
                    workload.name,
                    needed >> 20,
                    limit >> 20
                );
                let help = "make the fabric or the messages smaller, or allow more";
                return Err(UserError::new(message).help(help));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::tests::prepared;
    use crate::scenario::from_source;
    use std::sync::Arc;

    fn of(text: &str) -> u64 {
        let source =
            crate::error::Source { name: "x.toml".into(), text: text.into(), folder: None };
        let scenario = from_source(&Arc::new(source), &[], None).unwrap();
        forecast(&prepared(text), &scenario.variants[0].workloads[0]) >> 20
    }

    /// Forecasts are within 40 % of what runs took (release build, one thread), in MiB.
    #[test]
    fn forecasts_are_near_what_runs_take() {
        let htsim = |hosts: u32, workload: &str| {
            format!("profile = \"htsim\"\n[topology]\nhosts = {hosts}\n[workload]\n{workload}")
        };
        let plain = |transport: &str, workload: &str| {
            format!(
                "[topology]\nhosts = 128\n[transport]\nkind = {transport:?}\n[workload]\n{workload}"
            )
        };
        for (text, took) in [
            (plain("roce", "kind = \"permutation\"\nbytes = \"4 MB\"\n"), 10),
            (plain("ndp", "kind = \"all-to-all\"\nbytes = \"32 KiB\"\n"), 39),
            (plain("tcp", "kind = \"permutation\"\nbytes = \"4 MB\"\n"), 124),
            (plain("tcp", "kind = \"all-to-all\"\nbytes = \"32 KiB\"\n"), 1_063),
            (plain("tcp", "kind = \"all-reduce\"\nbytes = \"8 MiB\"\n"), 88),
            (htsim(128, "kind = \"permutation\"\nbytes = \"16 MB\"\n"), 13),
            (htsim(1_024, "kind = \"permutation\"\nbytes = \"2 MB\"\n"), 47),
            (htsim(8_192, "kind = \"permutation\"\nbytes = \"2 MB\"\n"), 344),
            (htsim(128, "kind = \"all-to-all\"\nbytes = \"128 KiB\"\n"), 33),
            (htsim(128, "kind = \"all-reduce\"\nbytes = \"8 MiB\"\n"), 50),
            (plain("uet", "kind = \"all-to-all\"\nbytes = \"4 KiB\"\n"), 61),
            (plain("roce", "kind = \"all-to-all\"\nbytes = \"4 KiB\"\n"), 25),
            (htsim(65_536, "kind = \"incast\"\nsenders = 1\nbytes = \"1 MB\"\n"), 473),
        ] {
            let forecast = of(&text) as f64;
            let ratio = forecast / f64::from(took);
            assert!((0.6..1.4).contains(&ratio), "{forecast} for {took}: {text}");
        }
    }
}
