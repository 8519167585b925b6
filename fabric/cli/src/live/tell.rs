//! What a live run prints: whom it attached and how to reach them, and what came of it.

use ::live::directory::address;
use ::live::offload::switch_off;
use ::live::session::{Ended, Status};
use ::live::space::{INSIDE, namespace};
use fabric::ids::HostId;
use fabric::probe::RunRecord;
use fabric::units::Span;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::IsTerminal;

use crate::args::Output;
use crate::say::{say, say_line};
use crate::scenario::model::{Attachment, LiveOptions};

/// Whom the run attached.
pub(super) fn begin(options: &LiveOptions, session: &str, output: Output) {
    if output != Output::Human {
        return;
    }
    for host in &options.hosts {
        let number = host.host.0;
        let line = match &host.to {
            Attachment::Veth => {
                let namespace = namespace(session, host.host);
                format!("host {number}: {}, in namespace {namespace}", address(host.host))
            }
            Attachment::Interface(name) => format!("host {number}: interface {name}"),
        };
        say_line(&line);
    }
    let first = options.hosts.iter().find(|host| host.to == Attachment::Veth);
    if let Some(host) = first {
        let namespace = namespace(session, host.host);
        say_line(&format!(
            "running; a program on host {}: ip netns exec {namespace} PROGRAM",
            host.host.0
        ));
    }
}

/// A line that says how it stands, on a terminal.
pub(super) struct View<'a> {
    line: ProgressBar,
    options: &'a LiveOptions,
    /// Hosts of whose frames was said that they are too long.
    warned: BTreeSet<HostId>,
}

impl<'a> View<'a> {
    pub(super) fn new(options: &'a LiveOptions, output: Output) -> View<'a> {
        let line = ProgressBar::new_spinner();
        if output != Output::Human || !std::io::stderr().is_terminal() {
            line.set_draw_target(ProgressDrawTarget::hidden());
        }
        View { line, options, warned: BTreeSet::new() }
    }

    pub(super) fn show(&mut self, status: &Status) {
        for host in status.beyond_mtu.keys().filter(|host| !self.warned.contains(host)) {
            let to = self.options.hosts.iter().find(|other| other.host == *host);
            self.line.suspend(|| eprintln!("{}", too_long(*host, to.map(|host| &host.to))));
        }
        self.warned.extend(status.beyond_mtu.keys());
        let (now, lag) = (Span(status.now.0), status.lag);
        let frames = HumanCount(status.counts.delivered);
        self.line.set_message(format!(
            "{now}, {frames} frames, lag p50 {:.0} us, p99 {:.0}",
            lag.p50_us, lag.p99_us
        ));
        self.line.tick();
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        self.line.finish_and_clear();
    }
}

/// Says which offloads of an interface are on.
pub(super) fn offloads(interface: &str, on: &[&str]) {
    if !on.is_empty() {
        eprintln!(
            "warning: interface {interface} has {} on: its frames may be joined, or without checksums, as on no wire; `{}` \
             switches that off (of a veth pair, at the other end too)",
            on.join(", "),
            switch_off(interface, on)
        );
    }
}

/// Says that frames are longer than the MTU of their interface.
fn too_long(host: HostId, to: Option<&Attachment>) -> String {
    let (interface, end) = match to {
        Some(Attachment::Interface(name)) => {
            (name.as_str(), " (of a veth pair, at the other end too)")
        }
        _ => (INSIDE, " in its namespace"),
    };
    format!(
        "warning: host {} sends frames longer than its MTU: segmentation is left to the interface; `{}` switches that off{end}",
        host.0,
        switch_off(interface, &["tso", "gso", "gro"])
    )
}

/// What came of it.
pub(super) fn end(ended: &Ended, options: &LiveOptions, output: Output) {
    let status = &ended.status;
    let (lag, counts) = (status.lag, &status.counts);
    let tolerance = options.tolerance.as_micros();
    let valid = lag.p999_us <= tolerance;
    let dropped: u64 = ended.record.ports.iter().map(|port| port.counters.dropped()).sum();
    let trimmed: u64 = ended.record.ports.iter().map(|port| port.counters.trimmed).sum();
    let marked: u64 = ended.record.ports.iter().map(|port| port.counters.ecn_marked).sum();
    let digest = format!("{:032x}", ended.record.digest);
    let kinds: serde_json::Map<String, serde_json::Value> = counts
        .kinds()
        .map(|(kind, count)| {
            let name = serde_json::to_value(kind).unwrap_or_default();
            (name.as_str().unwrap_or_default().to_owned(), count.into())
        })
        .collect();
    match output {
        Output::Quiet => {}
        Output::Json => say_line(
            &json!({
                "valid": valid,
                "emulated_us": Span(status.now.0).as_micros(),
                "taken": kinds,
                "frames": counts,
                "lag": lag,
                "tolerance_us": tolerance,
                "lost_in": status.lost_in,
                "lost_out": status.lost_out,
                "beyond_mtu": status.beyond_mtu.values().sum::<u64>(),
                "captured": ended.captured.map(|figures| figures.frames),
                "fabric": { "dropped": dropped, "trimmed": trimmed, "ecn_marked": marked },
                "digest": digest,
            })
            .to_string(),
        ),
        Output::Human => {
            let taken: Vec<String> = counts
                .kinds()
                .filter(|(_, count)| *count > 0)
                .map(|(kind, count)| format!("{count} {}", format!("{kind:?}").to_lowercase()))
                .collect();
            let mut text = format!("emulated {}\n", Span(status.now.0));
            text += &format!("frames taken: {}\n", taken.join(", "));
            text += &format!(
                "handed over {}, marked {}, trimmed {}; dropped by the fabric {dropped}, at NICs {}, \
                 of nobody {}, for simulated hosts {}, {} of them not answered\n",
                counts.delivered,
                counts.marked,
                counts.trimmed,
                counts.dropped_nic,
                counts.undeliverable,
                counts.answered + counts.unanswered,
                counts.unanswered
            );
            if let Some(figures) = ended.captured {
                text += &format!(
                    "captured {} frames; {} beyond `capture.frames` were left out\n",
                    figures.frames, figures.beyond
                );
            }
            text += &format!(
                "lag p50 {:.1} us, p99 {:.1}, p99.9 {:.1}, max {:.1}; lost by this machine: in {}, out {}\n",
                lag.p50_us, lag.p99_us, lag.p999_us, lag.max_us, status.lost_in, status.lost_out
            );
            text += &format!("digest {digest}\n");
            if !valid {
                text += &format!(
                    "INVALID: one frame in 1,000 was more than {tolerance} us late; lower rates, or raise `dilation`\n"
                );
            }
            say(&text);
        }
    }
}

/// What a journal gave.
pub(super) fn replayed(then: &str, now: &str, record: &RunRecord, output: Output) {
    let same = then == now;
    match output {
        Output::Quiet => {}
        Output::Json => say_line(
            &json!({ "digest": now, "journal_digest": then, "same": same, "hops": record.work.hops })
                .to_string(),
        ),
        Output::Human => {
            let verdict = if same { "the same as" } else { "NOT the same as" };
            say_line(&format!("digest {now}, {verdict} the live run's; {} packet-hops", record.work.hops));
        }
    }
}
