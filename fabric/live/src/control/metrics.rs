//! A snapshot as metrics, in the text format that Prometheus reads. Names end with their units.

use std::fmt::Error;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::control::view::{LinkNow, Snapshot, State, Topology, Way};

/// What the text is.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of a snapshot.
pub(crate) fn text(topology: &Arc<Topology>, snapshot: Arc<Snapshot>) -> Result<String, Error> {
    let mut registry = Registry::with_prefix("ultraloom_live");
    let scrape = Scrape { topology: Arc::clone(topology), snapshot };
    registry.register_collector(Box::new(scrape));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Scrape {
    topology: Arc<Topology>,
    snapshot: Arc<Snapshot>,
}

/// Labels of a metric.
type Labels<'a> = Vec<(&'static str, &'a str)>;

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let encoder = &mut encoder;
        self.session(encoder)?;
        self.frames(encoder)?;
        self.ports(encoder)
    }
}

impl Scrape {
    fn session(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let status = &self.snapshot.status;
        let paused = u64::from(status.state == State::Paused) as f64;
        gauge(encoder, "paused", "1 while emulated time stands still", None, [(vec![], paused)])?;
        let emulated = status.emulated_us / 1e6;
        let help = "Emulated time since the start";
        gauge(encoder, "emulated_time", help, Some(Unit::Seconds), [(vec![], emulated)])?;
        let behind = [(vec![], status.behind_us / 1e6)];
        let help = "How far the emulation is behind the clock";
        gauge(encoder, "behind", help, Some(Unit::Seconds), behind)?;
        let down = f64::from(status.links_down);
        gauge(encoder, "links_down", "Links that are down", None, [(vec![], down)])?;
        let changes = [(vec![], status.changes)];
        counter(encoder, "changes", "Changes of the fabric ordered", None, changes)?;
        let lag = &status.lag;
        let lags =
            [("0.5", lag.p50_us), ("0.99", lag.p99_us), ("0.999", lag.p999_us), ("1", lag.max_us)];
        let lags = lags.map(|(quantile, us)| (vec![("quantile", quantile)], us / 1e6));
        let help = "Lag of frames handed over, since the start";
        gauge(encoder, "lag", help, Some(Unit::Seconds), lags)
    }

    fn frames(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let frames = &self.snapshot.counters.frames;
        let taken = frames.taken.iter().map(|(kind, count)| (vec![("kind", &**kind)], *count));
        counter(encoder, "taken_frames", "Frames taken in from attached hosts", None, taken)?;
        let delivered = [(vec![], frames.delivered)];
        counter(encoder, "delivered_frames", "Frames handed to attached hosts", None, delivered)?;
        let dropped = [
            ("undeliverable", frames.undeliverable),
            ("nic", frames.dropped_nic),
            ("paused", frames.dropped_paused),
            ("time_to_live", frames.dropped_ttl),
            ("unanswered", frames.unanswered),
            ("overwritten", frames.overwritten),
            ("machine_in", frames.lost_in),
            ("machine_out", frames.lost_out),
        ];
        let dropped = dropped.map(|(cause, count)| (vec![("cause", cause)], count));
        counter(encoder, "dropped_frames", "Frames lost outside of the fabric", None, dropped)?;
        let hosts: Vec<(String, [u64; 2])> = self
            .snapshot
            .counters
            .hosts
            .iter()
            .map(|host| (host.host.to_string(), [host.sent_bytes, host.received_bytes]))
            .collect();
        let bytes = hosts.iter().flat_map(|(host, [sent, received])| {
            let labels = |direction| vec![("host", &**host), ("direction", direction)];
            [(labels("sent"), *sent), (labels("received"), *received)]
        });
        let help = "Bytes of frames of attached hosts";
        counter(encoder, "host", help, Some(Unit::Bytes), bytes)
    }

    fn ports(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let (bytes, ratios) = (Some(Unit::Bytes), Some(Unit::Ratios));
        counter(
            encoder,
            "port",
            "Bytes sent by a port",
            bytes.clone(),
            self.ways(|way| way.bytes),
        )?;
        let packets = self.ways(|way| way.packets);
        counter(encoder, "port_packets", "Packets sent by a port", None, packets)?;
        let dropped = self.ways(|way| way.dropped);
        counter(encoder, "port_dropped_packets", "Packets lost at a port", None, dropped)?;
        let marked = self.ways(|way| way.ecn_marked);
        counter(encoder, "port_marked_packets", "Packets marked at a port", None, marked)?;
        let trimmed = self.ways(|way| way.trimmed);
        counter(encoder, "port_trimmed_packets", "Packets trimmed at a port", None, trimmed)?;
        let queue = self.ways(|way| way.queue_bytes as f64);
        gauge(encoder, "port_queue", "Bytes queued at a port", bytes, queue)?;
        let load = self.ways(|way| way.load);
        gauge(encoder, "port_load", "Share of a port's rate in use", ratios, load)?;
        let up = self.ways(|way| if way.down { 0.0 } else { 1.0 });
        gauge(encoder, "port_up", "1 unless the port's link is down", None, up)
    }

    /// A figure of both directions of every link, by sender and receiver.
    fn ways<V>(&self, value: impl Fn(&Way) -> V) -> Vec<(Labels<'_>, V)> {
        let ends = self.topology.links.iter().zip(&self.snapshot.links);
        let both = ends.flat_map(|(link, LinkNow { up, down, .. })| {
            let labels = |from, to| vec![("from", from), ("to", to)];
            let (a, b) = (&*link.a, &*link.b);
            [(labels(a, b), value(up)), (labels(b, a), value(down))]
        });
        both.collect()
    }
}

fn gauge<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<Unit>,
    values: impl IntoIterator<Item = (Labels<'a>, f64)>,
) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
    for (labels, value) in values {
        family.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}

fn counter<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<Unit>,
    values: impl IntoIterator<Item = (Labels<'a>, u64)>,
) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
    for (labels, value) in values {
        family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::view::Link;

    /// Each metric has its type, its help and its unit, values have labels, and the text ends as the format wants.
    #[test]
    fn metrics_are_in_the_text_format() {
        let (a, b) = ("leaf:0".to_owned(), "spine:1".to_owned());
        let link = Link { id: 0, a, b, rate_bps: 1_000_000_000, delay_us: 2.0 };
        let topology = Arc::new(Topology { links: vec![link], ..Topology::default() });
        let mut snapshot = Snapshot::default();
        snapshot.links.push(LinkNow::default());
        snapshot.links[0].up.bytes = 1_500;
        snapshot.links[0].down.load = 0.25;
        snapshot.status.lag.p99_us = 20.0;
        snapshot.counters.frames.taken.insert("arp".to_owned(), 3);
        let text = text(&topology, Arc::new(snapshot)).expect("a text");
        for line in [
            "# TYPE ultraloom_live_port_bytes counter",
            "# UNIT ultraloom_live_port_bytes bytes",
            "# HELP ultraloom_live_lag_seconds Lag of frames handed over, since the start",
            "ultraloom_live_port_bytes_total{from=\"leaf:0\",to=\"spine:1\"} 1500",
            "ultraloom_live_port_load_ratios{from=\"spine:1\",to=\"leaf:0\"} 0.25",
            "ultraloom_live_taken_frames_total{kind=\"arp\"} 3",
            "ultraloom_live_lag_seconds{quantile=\"0.99\"} 0.00002",
        ] {
            assert!(text.lines().any(|known| known.starts_with(line)), "{line} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
