//! `ultraloom endpoint`: transports over real sockets; one endpoint, or one in every namespace of a live session.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use ::live::directory::address;
use ::live::endpoint::config::{Kind, LEAST_MTU, MOST_MTU, Options};
use ::live::endpoint::jobs::{self, Job, JobError, Report};
use ::live::endpoint::sockets;
use ::live::space;
use fabric::ids::HostId;
use fabric::units::Span;
use serde_json::{Value, json};

use crate::UNFINISHED;
use crate::args::{Endpoint, EndpointJob, Output, Transport};
use crate::error::UserError;
use crate::execute::{self, STOP};
use crate::say::{say, say_line};

/// MTU where the interface does not say.
const MTU: u16 = 1_500;
/// Most bytes of a vector or message: what a message may have.
const LARGEST: u64 = 1 << 30;

/// Runs an endpoint, or those of a session.
///
/// # Errors
/// What the user has to mend: ranks, addresses, files.
pub fn endpoint(arguments: &Endpoint) -> Result<ExitCode, UserError> {
    if !arguments.entropy_values.is_power_of_two() {
        let text = format!(
            "--entropy-values is {}, and has to be a power of two",
            arguments.entropy_values
        );
        return Err(UserError::new(text));
    }
    execute::stop_on_signals();
    match &arguments.session {
        Some(session) => all(arguments, session),
        None => one(arguments),
    }
}

/// One endpoint, in this process.
fn one(arguments: &Endpoint) -> Result<ExitCode, UserError> {
    let peers = &arguments.peers;
    if !(2..=256).contains(&peers.len()) {
        let text = format!("--peers names {} endpoints, and a job has 2 to 256", peers.len());
        let help = "for example --peers 10.0.0.1,10.0.0.2 --rank 0, or --session with the name of a live session";
        return Err(UserError::new(text).help(help));
    }
    if let Some((place, twice)) =
        peers.iter().enumerate().find(|(place, peer)| peers[..*place].contains(peer))
    {
        return Err(UserError::new(format!("--peers has {twice} twice, again as rank {place}")));
    }
    let rank = arguments.rank.ok_or_else(|| {
        UserError::new("--rank is missing")
            .help("the place of this endpoint's address in --peers, from 0")
    })?;
    let rank = known(rank, "--rank", peers.len())?;
    let job = job(arguments, rank)?;
    let own = peers[rank.index()];
    let mtu = arguments.mtu.unwrap_or_else(|| sockets::mtu(own).unwrap_or(MTU).min(MOST_MTU));
    if mtu < LEAST_MTU {
        let text =
            format!("the interface of {own} has an MTU of {mtu}; endpoints need {LEAST_MTU}");
        return Err(UserError::new(text));
    }
    let options = Options {
        kind: match arguments.transport {
            Transport::Uet => Kind::Uet,
            Transport::Roce => Kind::Roce,
        },
        rate: arguments.rate,
        rtt: arguments.rtt,
        mtu,
        trimming: !arguments.no_trimming,
        entropy_values: arguments.entropy_values,
        rccc: arguments.rccc,
        seed: arguments.seed,
    };
    if let EndpointJob::Receive { file: Some(file), .. } = &arguments.job
        && file.exists()
    {
        return Err(UserError::new(format!("{} is there already", file.display())));
    }
    let timeout = Duration::from_nanos(arguments.timeout.0 / 1_000);
    let report = match jobs::run(&job, rank, peers, &options, timeout, &STOP) {
        Ok(report) => report,
        Err(error @ JobError::Socket { .. }) => return Err(UserError::new(error.to_string())),
        Err(error) => {
            // At once: endpoints of a session share their standard error.
            let line = format!("{error}\n");
            eprint!("{line}");
            return Ok(ExitCode::from(UNFINISHED));
        }
    };
    if let EndpointJob::Receive { file: Some(file), .. } = &arguments.job {
        std::fs::write(file, &report.received)
            .map_err(|error| UserError::new(format!("{}: {error}", file.display())))?;
    }
    let value = value(&report);
    match arguments.output {
        Output::Quiet => {}
        Output::Json => say_line(&value.to_string()),
        Output::Human => say(&table(arguments, &[value])),
    }
    Ok(if report.right { ExitCode::SUCCESS } else { ExitCode::from(UNFINISHED) })
}

fn known(rank: u32, option: &str, ranks: usize) -> Result<HostId, UserError> {
    if (rank as usize) < ranks {
        return Ok(HostId(rank));
    }
    Err(UserError::new(format!("{option} is {rank}, and ranks are 0 to {}", ranks - 1)))
}

/// The job as this rank does it.
fn job(arguments: &Endpoint, rank: HostId) -> Result<Job, UserError> {
    let ranks = arguments.peers.len();
    let other = |other: u32, option: &str| {
        let other = known(other, option, ranks)?;
        if other == rank {
            return Err(UserError::new(format!("{option} is this endpoint's own rank")));
        }
        Ok(other)
    };
    let fits = |bytes: u64, least: u64| {
        if (least..=LARGEST).contains(&bytes) {
            return Ok(bytes as usize);
        }
        Err(UserError::new(format!("--bytes is {bytes}, and may be {least} to {LARGEST}")))
    };
    Ok(match &arguments.job {
        EndpointJob::Send { to, file, bytes, .. } => Job::Transfer {
            from: rank,
            to: other(*to, "--to")?,
            bytes: match file {
                Some(file) => read(file)?,
                None => (0..fits(*bytes, 1)?).map(|place| (place ^ place >> 8) as u8).collect(),
            },
        },
        EndpointJob::Receive { from, .. } => {
            Job::Transfer { from: other(*from, "--from")?, to: rank, bytes: Vec::new() }
        }
        EndpointJob::PingPong { bytes, count } => {
            Job::PingPong { bytes: fits(*bytes, 1)?, count: *count }
        }
        EndpointJob::AllReduce { bytes, count } => {
            Job::AllReduce { bytes: fits(*bytes, 4 * ranks as u64)? & !3, count: *count }
        }
    })
}

fn read(file: &Path) -> Result<Vec<u8>, UserError> {
    let told = |text: String| UserError::new(format!("{}: {text}", file.display()));
    let bytes = std::fs::read(file).map_err(|error| told(error.to_string()))?;
    if bytes.is_empty() {
        Err(told("there is nothing in it to send".to_owned()))
    } else {
        Ok(bytes)
    }
}

fn value(report: &Report) -> Value {
    serde_json::to_value(report).unwrap_or_default()
}

/// Endpoints of a session: a process in each namespace.
fn all(arguments: &Endpoint, session: &str) -> Result<ExitCode, UserError> {
    let hosts = space::hosts(session).ok_or_else(|| {
        UserError::new(format!("no session `{session}` of `ultraloom live` is running"))
    })?;
    let jobs = rank_jobs(arguments, &hosts)?;
    let peers: Vec<String> = jobs.iter().map(|(host, _)| address(*host).to_string()).collect();
    let failed =
        |error: std::io::Error| UserError::new(format!("cannot start an endpoint: {error}"));
    let program = std::env::current_exe().map_err(failed)?;
    let mut children = Vec::new();
    for (rank, (host, job)) in jobs.iter().enumerate() {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &space::namespace(session, *host)]).arg(&program);
        command.arg("endpoint").args(job).args(["--peers", &peers.join(",")]);
        command.args(["--rank", &rank.to_string()]).args(options(arguments));
        children.push(command.stdout(Stdio::piped()).spawn().map_err(failed)?);
    }
    let mut reports = Vec::new();
    let mut right = true;
    for child in children {
        let output = child.wait_with_output().map_err(failed)?;
        right &= output.status.success();
        reports.extend(serde_json::from_slice::<Value>(&output.stdout));
    }
    right &= reports.len() == jobs.len();
    let checksums = reports.iter().map(|report| &report["checksum"]);
    right &= checksums.clone().zip(checksums.skip(1)).all(|(a, b)| a == b);
    match arguments.output {
        Output::Quiet => {}
        Output::Json => say_line(&json!({ "right": right, "ranks": reports }).to_string()),
        Output::Human if reports.is_empty() => {}
        Output::Human => say(&table(arguments, &reports)),
    }
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::from(UNFINISHED) })
}

/// The hosts that take part, by rank, and what each is told to do.
fn rank_jobs(
    arguments: &Endpoint,
    hosts: &[HostId],
) -> Result<Vec<(HostId, Vec<String>)>, UserError> {
    let text = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let attached = |number: u32, option: &str| {
        let numbers: Vec<String> = hosts.iter().map(|host| host.0.to_string()).collect();
        let text = format!("{option} is {number}, and attached hosts are {}", numbers.join(", "));
        hosts.iter().find(|host| host.0 == number).copied().ok_or_else(|| UserError::new(text))
    };
    let everywhere = |job: Vec<String>| hosts.iter().map(|host| (*host, job.clone())).collect();
    if hosts.len() < 2 {
        return Err(UserError::new("the session has one attached host, and a job needs two"));
    }
    Ok(match &arguments.job {
        EndpointJob::Send { to, from, file, bytes } => {
            let from =
                from.ok_or_else(|| UserError::new("with --session, --from says which host sends"))?;
            let (from, to) = (attached(from, "--from")?, attached(*to, "--to")?);
            if from == to {
                return Err(UserError::new("--from and --to are the same host"));
            }
            let mut send = text(&["send", "--to", "1"]);
            match file {
                Some(file) => send.extend(["--file".to_owned(), file.display().to_string()]),
                None => send.extend(["--bytes".to_owned(), format!("{bytes} B")]),
            }
            vec![(from, send), (to, text(&["receive", "--from", "0"]))]
        }
        EndpointJob::Receive { .. } => {
            return Err(UserError::new("with --session, `send` starts both ends"));
        }
        EndpointJob::PingPong { bytes, count } => {
            let job = text(&[
                "ping-pong",
                "--bytes",
                &format!("{bytes} B"),
                "--count",
                &count.to_string(),
            ]);
            vec![(hosts[0], job.clone()), (hosts[hosts.len() - 1], job)]
        }
        EndpointJob::AllReduce { bytes, count } => everywhere(text(&[
            "all-reduce",
            "--bytes",
            &format!("{bytes} B"),
            "--count",
            &count.to_string(),
        ])),
    })
}

/// Options that all endpoints of a session get.
fn options(arguments: &Endpoint) -> Vec<String> {
    let picoseconds = |span: Span| format!("{} ps", span.0);
    let transport = match arguments.transport {
        Transport::Uet => "uet",
        Transport::Roce => "roce",
    };
    let mut all = [
        ("--transport", transport.to_owned()),
        ("--rate", arguments.rate.to_string()),
        ("--rtt", picoseconds(arguments.rtt)),
        ("--timeout", picoseconds(arguments.timeout)),
        ("--entropy-values", arguments.entropy_values.to_string()),
        ("--seed", arguments.seed.to_string()),
        ("--output", "json".to_owned()),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value])
    .collect::<Vec<_>>();
    all.extend(arguments.mtu.into_iter().flat_map(|mtu| ["--mtu".to_owned(), mtu.to_string()]));
    all.extend(arguments.no_trimming.then(|| "--no-trimming".to_owned()));
    all.extend(arguments.rccc.then(|| "--rccc".to_owned()));
    all
}

/// A line for each rank.
fn table(arguments: &Endpoint, reports: &[Value]) -> String {
    let mut text = format!(
        "{:>4} {:>10} {:>8} {:>9} {:>9} {:>8} {:>8} {:>9} {:>7} {:>8}  {}\n",
        "rank",
        "time",
        "Gb/s",
        "messages",
        "packets",
        "again",
        "trimmed",
        "reordered",
        "marked",
        "timeouts",
        "result"
    );
    for report in reports {
        let count = |name: &str| report["packets"][name].as_u64().unwrap_or(0);
        let number = |name: &str| report[name].as_f64().unwrap_or(0.0);
        text += &format!(
            "{:>4} {:>7.3} ms {:>8.3} {:>9} {:>9} {:>8} {:>8} {:>9} {:>7} {:>8}  {}\n",
            report["rank"],
            number("seconds") * 1e3,
            number("gbps"),
            report["messages_received"].as_u64().unwrap_or(0),
            count("new"),
            count("retransmitted"),
            count("trimmed"),
            count("out_of_order"),
            count("ecn_marked"),
            count("timeouts"),
            if report["right"] == true { "right" } else { "WRONG" },
        );
        if let Value::Object(times) = &report["round_trips"] {
            let of = |name: &str| times[name].as_f64().unwrap_or(0.0);
            text += &format!(
                "     round trip: least {:.1} us, half {:.1} us, 99 of 100 {:.1} us, longest {:.1} us\n",
                of("min_us"),
                of("p50_us"),
                of("p99_us"),
                of("max_us")
            );
        }
    }
    if let (EndpointJob::AllReduce { .. }, Some(slowest)) = (&arguments.job, slowest(reports)) {
        let ranks = slowest["ranks"].as_f64().unwrap_or(1.0);
        let bandwidth = slowest["gbps"].as_f64().unwrap_or(0.0);
        let bus = bandwidth * 2.0 * (ranks - 1.0) / ranks;
        text += &format!("algorithm bandwidth {bandwidth:.3} Gb/s, bus bandwidth {bus:.3} Gb/s\n");
    }
    if reports.iter().any(|report| report["sees_trimmed"] == false) {
        text += "without CAP_NET_RAW trimmed packets count as lost\n";
    }
    text
}

fn slowest(reports: &[Value]) -> Option<&Value> {
    let seconds = |report: &&Value| report["seconds"].as_f64().unwrap_or(0.0);
    reports.iter().max_by(|a, b| seconds(a).total_cmp(&seconds(b)))
}
