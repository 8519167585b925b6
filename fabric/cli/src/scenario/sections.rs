//! The sections of a scenario, one function each.

use std::path::{Path, PathBuf};

use fabric::config::Choice;
use fabric::link::{Chance, FrameErrors, LinkSet, LlrConfig, MOST_BIT_ERRORS};
use transports::roce::config::Operation;

use crate::error::UserError;
use crate::scenario::model::{
    Convergence, File, Hash, LinkOptions, Pinned, Profile, RoceOptions, RoceRecovery,
    RoutingOptions, SprayedKind, SwitchOptions, TopologyKind, Transport, Variant,
};
use crate::scenario::tree::{Item, Section, Table, Value};
use crate::scenario::{capture, faults, roce, sprayed, tcp, topology, uet, workload};

/// Most hosts, ranks, senders.
pub(super) const MANY: u64 = 16 << 20;

/// A variant from its whole table, base and overrides together.
pub(super) fn variant(name: &str, table: &Table, seed: u64) -> Result<Variant, UserError> {
    let top = Section::new("", table);
    // Read by the caller, and known here so that they are not called unknown.
    let _ = (top.get("name"), top.get("seed"), top.get("claim"));
    let _ = (top.get("records"), top.get("sweep"), top.get("live"), top.get("host"));
    let profile = top.word(
        "profile",
        &[
            ("ethernet", Profile::Ethernet),
            ("htsim", Profile::Htsim),
            ("ns3-rdma", Profile::Ns3Rdma),
        ],
    )?;
    let run = top.table("run")?;
    let until = run.span("until")?;
    let mut variant = Variant {
        name: name.to_owned(),
        profile: profile.unwrap_or(Profile::Ethernet),
        topology: topology::topology(&top)?,
        switch: switch(&top.table("switch")?)?,
        link: link(&top.table("link")?)?,
        transport: transport(&top.table("transport")?)?,
        workloads: workload::workloads(&top, seed)?,
        faults: faults::faults(&top)?,
        capture: capture::capture(&top.table("capture")?)?,
        until,
    };
    if matches!(variant.topology.kind, TopologyKind::Scheduled { .. }) {
        scheduled(&mut variant, &top.table("transport")?);
    }
    if let (Profile::Ns3Rdma, false, Some(item)) =
        (variant.profile, matches!(variant.transport, Transport::Roce(_)), top.get("profile"))
    {
        let message =
            format!("`profile` is `ns3-rdma`, which models RoCE only; {name} has another");
        let help = "write `[transport] kind = \"roce\"`";
        return Err(UserError::at(&item.origin, message).help(help));
    }
    if let (
        Profile::Ns3Rdma,
        Transport::Roce(RoceOptions { operation: Some(Operation::Read), .. }),
        Some(item),
    ) = (variant.profile, &variant.transport, top.get("profile"))
    {
        let message =
            "`profile` is `ns3-rdma`, which models writes only; `transport.operation` is read";
        return Err(UserError::at(&item.origin, message));
    }
    run.finish()?;
    top.finish()?;
    Ok(variant)
}

/// Within a scheduled fabric nothing is lost, and packets of a flow take many ways.
fn scheduled(variant: &mut Variant, transport: &Section<'_>) {
    variant.switch.lossless.get_or_insert(true);
    if let (Transport::Roce(options), None) = (&mut variant.transport, transport.get("recovery")) {
        options.recovery = RoceRecovery::SelectiveRepeat;
    }
}

/// A file name as written in a scenario, from the scenario's folder.
pub(super) fn resolve(folder: &Path, file: &str) -> PathBuf {
    let path = Path::new(file);
    if path.is_absolute() { path.to_path_buf() } else { folder.join(path) }
}

pub(super) fn file(section: &Section<'_>) -> Result<File, UserError> {
    let (Some(name), Some(item)) = (section.text("file")?, section.get("file")) else {
        return Err(UserError::new(format!("`{}` is missing", section.name("file"))));
    };
    let folder = item.origin.source.folder.clone().unwrap_or_default();
    Ok(File { path: resolve(&folder, &name), origin: item.origin.clone() })
}

pub(super) fn hosts(section: &Section<'_>, key: &'static str) -> Result<Option<u32>, UserError> {
    Ok(section.count(key, 2, MANY)?.map(|count| count as u32))
}

pub(super) fn routing(section: &Section<'_>) -> Result<RoutingOptions, UserError> {
    let choice = section.word(
        "kind",
        &[
            ("ecmp", Choice::Ecmp),
            ("least-queue", Choice::LeastQueue),
            ("two-choices", Choice::TwoChoices),
            ("round-robin", Choice::RoundRobin),
            ("pinned", Choice::Ecmp),
        ],
    )?;
    let choice = choice.unwrap_or_default();
    let pinned = match section.get("kind") {
        Some(Item { value: Value::Text(kind), origin }) if kind == "pinned" => {
            if section.get("file").is_none() {
                let message =
                    format!("`{}` is missing: pinned paths are in a file", section.name("file"));
                return Err(UserError::at(origin, message));
            }
            Some(Pinned { file: file(section)?, case: section.text("case")? })
        }
        _ => None,
    };
    let hash = section.word(
        "hash",
        &[("destination-qp", Hash::DestinationQp), ("five-tuple", Hash::FiveTuple)],
    )?;
    let flowlet_gap = match choice {
        Choice::Ecmp => None,
        _ => section.span("flowlet_gap")?,
    };
    let convergence = match section.get("convergence") {
        Some(Item { value: Value::Text(text), .. }) if text == "never" => Some(Convergence::Never),
        _ => section.span("convergence")?.map(Convergence::After),
    };
    let (paths, paths_origin) = topology::paths(section)?;
    section.finish()?;
    let hash = hash.unwrap_or_default();
    Ok(RoutingOptions { choice, flowlet_gap, convergence, pinned, hash, paths, paths_origin })
}

fn switch(section: &Section<'_>) -> Result<SwitchOptions, UserError> {
    let pfc_watchdog = section.span("pfc_watchdog")?;
    let options = SwitchOptions {
        ecn_kmin: section.bytes("ecn_kmin")?,
        ecn_kmax: section.bytes("ecn_kmax")?,
        ecn_pmax: section.ratio("ecn_pmax", 1.0)?,
        queue: section.bytes("queue")?,
        lossless: section.truth("lossless")?,
        control_weight: section.count("control_weight", 1, 1_000)?.map(|weight| weight as u32),
        trimmed_weight: share(section, "trimmed_weight", 0.9)?,
        headroom: section.bytes("headroom")?,
        pfc_watchdog,
        pfc_watchdog_restore: match pfc_watchdog {
            Some(_) => section.span("pfc_watchdog_restore")?,
            None => None,
        },
    };
    if let (Some(kmin), Some(kmax), Some(item)) =
        (options.ecn_kmin, options.ecn_kmax, section.get("ecn_kmax"))
        && kmin > kmax
    {
        return Err(section.wrong("ecn_kmax", item, &format!("at least `ecn_kmin`, {kmin} B")));
    }
    section.finish()?;
    Ok(options)
}

/// A number from 0 to `most`.
pub(super) fn share(
    section: &Section<'_>,
    key: &'static str,
    most: f64,
) -> Result<Option<f64>, UserError> {
    match (section.number(key)?, section.get(key)) {
        (Some(value), Some(item)) if value > most => {
            Err(section.wrong(key, item, &format!("a number from 0 to {most}")))
        }
        (value, _) => Ok(value),
    }
}

fn link(section: &Section<'_>) -> Result<LinkOptions, UserError> {
    let mut options =
        LinkOptions { errors: errors(section)?.unwrap_or_default(), ..LinkOptions::default() };
    if section.truth("llr")? == Some(true) {
        let links = [("all", LinkSet::All), ("host", LinkSet::Host), ("switch", LinkSet::Switch)];
        let mut llr = LlrConfig::default();
        llr.links = section.word("llr_links", &links)?.unwrap_or(llr.links);
        if let Some(frames) = section.count("llr_frames", 1, 1 << 19)? {
            llr.outstanding_frames = frames as u32;
        }
        llr.outstanding_bytes = section.bytes("llr_bytes")?.unwrap_or(llr.outstanding_bytes);
        llr.replay_timer = section.span("llr_timer")?.unwrap_or(llr.replay_timer);
        if let Some(replays) = section.count("llr_replays", 0, 255)? {
            llr.replays = replays as u8;
        }
        options.llr = Some(llr);
    }
    if section.truth("cbfc")? == Some(true) {
        options.cbfc = section.get("cbfc").map(|item| item.origin.clone());
        options.credits =
            section.bytes("credits")?.zip(section.get("credits").map(|item| item.origin.clone()));
    }
    section.finish()?;
    Ok(options)
}

/// Frames in error, by `fer` or `ber`.
pub(super) fn errors(section: &Section<'_>) -> Result<Option<FrameErrors>, UserError> {
    let fer = share(section, "fer", 1.0)?;
    let ber = share(section, "ber", MOST_BIT_ERRORS)?;
    match (fer, ber) {
        (Some(_), Some(_)) => {
            let item = section.get("ber").expect("it was just read");
            Err(section.wrong("ber", item, "nothing beside `fer`: one of them says it all"))
        }
        (Some(fer), None) => Ok(Some(FrameErrors::Frame(Chance::new(fer)))),
        (None, Some(ber)) if section.truth("fec")?.unwrap_or(true) => {
            Ok(Some(FrameErrors::after_fec(ber)))
        }
        (None, Some(ber)) => Ok(Some(FrameErrors::Bit(Chance::new(ber)))),
        (None, None) => Ok(None),
    }
}

fn transport(section: &Section<'_>) -> Result<Transport, UserError> {
    #[derive(Clone, Copy)]
    enum Kind {
        Uet,
        Roce,
        Sprayed(SprayedKind),
        Tcp,
    }
    let kinds = [
        ("uet", Kind::Uet),
        ("roce", Kind::Roce),
        ("ndp", Kind::Sprayed(SprayedKind::Ndp)),
        ("srd", Kind::Sprayed(SprayedKind::Srd)),
        ("strack", Kind::Sprayed(SprayedKind::Strack)),
        ("tcp", Kind::Tcp),
    ];
    let transport = match section.word("kind", &kinds)?.unwrap_or(Kind::Uet) {
        Kind::Uet => Transport::Uet(Box::new(uet::uet(section)?)),
        Kind::Roce => Transport::Roce(roce::roce(section)?),
        Kind::Sprayed(kind) => Transport::Sprayed(sprayed::sprayed(kind, section)?),
        Kind::Tcp => Transport::Tcp(tcp::tcp(section)?),
    };
    section.finish()?;
    Ok(transport)
}

/// Every key of every section and kind, for the documentation's test.
#[cfg(test)]
pub(super) fn all_keys() -> Vec<String> {
    let text = [
        include_str!("capture.rs"),
        include_str!("claim.rs"),
        include_str!("faults.rs"),
        include_str!("jobs.rs"),
        include_str!("live.rs"),
        include_str!("programs.rs"),
        include_str!("records.rs"),
        include_str!("roce.rs"),
        include_str!("sections.rs"),
        include_str!("sprayed.rs"),
        include_str!("tcp.rs"),
        include_str!("topology.rs"),
        include_str!("workload.rs"),
    ];
    let calls = [
        "get(\"",
        "word(\"",
        "word(\n        \"",
        "word(\n            \"",
        "table(\"",
        "tables(\"",
        "span(\"",
        "rate(\"",
        "bytes(\"",
        "ratio(\"",
        "count(\"",
        "number(\"",
        "truth(\"",
        "text(\"",
        "hosts(section, \"",
        "share(section, \"",
        "hosts(&section, \"",
        "number(section, \"",
        "small(section, \"",
        "list(section, \"",
        "positive(section, \"",
        "lengths(section, \"",
        "degree(\"",
        "size(\"",
        "time(\"",
        "tokens(\"",
        "number(&section, \"",
        "numbers(section, \"",
        "length_or_delay(section, \"",
        "length_or_delay(&section, \"",
    ];
    let code: String =
        text.map(|t| t.split("/// Every key of every section").next().unwrap_or("")).concat();
    let mut keys = Vec::new();
    for call in calls {
        for (at, _) in code.match_indices(call) {
            let rest = &code[at + call.len()..];
            keys.extend(rest.split('"').next().map(str::to_owned));
        }
    }
    keys.extend(uet::KEYS.iter().map(|key| (*key).to_owned()));
    keys
}
