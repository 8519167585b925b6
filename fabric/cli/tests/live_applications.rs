//! Real applications over the emulated fabric: iperf3, MPI, and datagrams while a link fails. Skipped, with the reason, where namespaces
//! cannot be made or a program is missing. Links are slow enough for machines that do something else as well.

mod lab;
mod place;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lab::{FAR, Session, alone, can_run};
use serde_json::Value;

/// Programs that the tests start on hosts.
#[test]
#[ignore = "other tests start it in namespaces"]
fn tool() {
    lab::tools::run();
}

/// Seconds of iperf3.
const SECONDS: u64 = 10;

/// iperf3 from hosts to host 7, each with a server of its own; what each receiver measured.
fn iperf(session: &Session, hosts: &[u32], arguments: &[&str]) -> Vec<Value> {
    let port = |host: &u32| (5_200 + host).to_string();
    let serve = |host: &u32| {
        let mut server = session.on(7, &["iperf3", "-s", "-1", "-p", &port(host)]);
        server.stdout(Stdio::null()).spawn().expect("iperf3 starts")
    };
    let mut servers: Vec<Child> = hosts.iter().map(serve).collect();
    std::thread::sleep(Duration::from_millis(500));
    let seconds = SECONDS.to_string();
    let client = |host: &u32| {
        let (port, to) = (port(host), ["iperf3", "-c", "10.0.0.8", "-J", "-t", &seconds]);
        let mut client = session.on(*host, &[&to[..], &["-p", &port], arguments].concat());
        client.stdout(Stdio::piped()).spawn().expect("iperf3 starts")
    };
    let clients: Vec<Child> = hosts.iter().map(client).collect();
    let measured = clients.into_iter().map(|client| {
        let output = client.wait_with_output().expect("it ends");
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let received = told["end"]["sum_received"].clone();
        assert!(received["bits_per_second"].is_number(), "{told}");
        received
    });
    let measured = measured.collect();
    servers.iter_mut().for_each(|server| drop(server.kill().and_then(|()| server.wait())));
    measured
}

/// Rates of what [`iperf`] measured, in Mb/s.
fn rates(measured: &[Value]) -> Vec<f64> {
    let rate = |one: &Value| one["bits_per_second"].as_f64().unwrap_or(0.0) / 1e6;
    measured.iter().map(rate).collect()
}

/// Jain's index: 1 if all have the same, 1/n if one has all.
fn jain(rates: &[f64]) -> f64 {
    let (sum, squares) = rates.iter().fold((0.0, 0.0), |(s, q), rate| (s + rate, q + rate * rate));
    sum * sum / (rates.len() as f64 * squares)
}

/// A lab with short links, of so many Mb/s, and queues with marks.
fn short(rate: u32) -> String {
    FAR.replace("1 ms", "20 us").replace("100 Mb/s", &format!("{rate} Mb/s")).replace(
        "[live]",
        "[switch]\nqueue = \"256 KiB\"\necn_kmin = \"32 KiB\"\necn_kmax = \"64 KiB\"\n[live]",
    )
}

/// Two TCP connections to one receiver share its link fairly, fill it, and with ECN see marks, and so few that they must have heeded them.
/// Reno, which every Linux has, does; what the machine's default is need not (BBR). A machine that is busy with something else may take
/// away from that, so one attempt of three is enough; no attempt gets more.
#[test]
fn two_tcp_flows_share_the_bottleneck() {
    if !can_run(&["iperf3"]) {
        return;
    }
    let _alone = alone();
    let mut found = Vec::new();
    for attempt in 0..3 {
        // Marks begin late enough for the link to stay busy while a machine is late by milliseconds.
        let lab = short(100).replace("\"32 KiB", "\"96 KiB").replace("\"64 KiB", "\"192 KiB");
        let mut session = Session::start(&format!("share{attempt}"), &lab, &[]);
        for host in [0, 1, 7] {
            session.output(host, &["sysctl", "-w", "net.ipv4.tcp_ecn=1"]);
        }
        let rates = rates(&iperf(&session, &[0, 1], &["-O", "1", "-C", "reno"]));
        let told = session.end("-TERM").1;
        let (sum, ratio) = (rates[0] + rates[1], rates[0].min(rates[1]) / rates[0].max(rates[1]));
        let marked = told["frames"]["marked"].as_u64().unwrap_or(0);
        eprintln!("{rates:.1?} Mb/s, Jain {:.4}, {marked} marked", jain(&rates));
        assert!(sum < 96.0, "{sum} Mb/s of 100: {told}");
        found.push((rates, marked));
        // Ten seconds are 80,000 frames.
        if sum > 88.0 && ratio > 0.9 && (10..8_000).contains(&marked) {
            return;
        }
    }
    panic!("goodputs in Mb/s and frames marked: {found:?}");
}

/// One TCP flow over links of 1 Gb/s gets 0.90 to 0.95 Gb/s: what headers of frames of 1,500 B leave. Only on a machine that keeps up with
/// the clock: on one that is late, TCP is slowed down by that, and the test says so.
#[test]
fn a_flow_over_a_gigabit_gets_what_headers_leave() {
    if !can_run(&["iperf3"]) {
        return;
    }
    let _alone = alone();
    let lab = short(1_000).replace("200 ms", "5 ms");
    for attempt in 0..3 {
        let mut session = Session::start(&format!("gigabit{attempt}"), &lab, &[]);
        let rate = rates(&iperf(&session, &[0], &["-O", "2"]))[0];
        let told = session.end("-TERM").1;
        eprintln!("{rate:.0} Mb/s, lag {}", told["lag"]);
        assert!(rate < 950.0, "{rate} Mb/s of 1000: {told}");
        if rate > 900.0 {
            return;
        }
        assert_ne!(told["lag"]["frames"], 0, "{told}");
    }
    eprintln!("SKIP: this machine does not keep up with 1 Gb/s");
}

/// UDP into a bottleneck: as much arrives as it carries, the rest is dropped by the fabric. Three senders of 40 Mb/s each, one link
/// of 50.
#[test]
fn incast_of_udp_gets_the_bottleneck() {
    if !can_run(&["iperf3"]) {
        return;
    }
    let _alone = alone();
    let scenario = short(50).replace("[0, 1, 7]", "[0, 1, 3, 7]");
    // A datagram of 1,400 B is a frame of 1,446 B, with preamble and gap 1,466 B.
    let most = 50.0 * 1_400.0 / 1_466.0;
    let mut found = Vec::new();
    for attempt in 0..3 {
        let mut session = Session::start(&format!("incast{attempt}"), &scenario, &[]);
        let measured = iperf(&session, &[0, 1, 3], &["-u", "-b", "40M", "-l", "1400"]);
        let told = session.end("-TERM").1;
        let sum: f64 = rates(&measured).iter().sum();
        let lost: f64 = measured.iter().filter_map(|one| one["lost_percent"].as_f64()).sum();
        let dropped = told["fabric"]["dropped"].as_u64().unwrap_or(0);
        eprintln!("{:.1?} Mb/s of {most:.1}, lost {:.1} %", rates(&measured), lost / 3.0);
        assert!(sum < most * 1.03, "{sum} Mb/s of {most}: {told}");
        assert!(dropped > 1_000, "{told}");
        found.push((sum, lost / 3.0));
        // Sent are 120 Mb/s.
        let model = 100.0 * (1.0 - most / 120.0);
        if sum > most * 0.95 && (lost / 3.0 - model).abs() < 5.0 {
            return;
        }
    }
    panic!("{found:?} Mb/s and percent lost, of {most} Mb/s");
}

/// TCP of three hosts into one: together they fill its link, and drops or marks are seen.
#[test]
fn incast_of_tcp_fills_the_bottleneck() {
    if !can_run(&["iperf3"]) {
        return;
    }
    let _alone = alone();
    let scenario = short(100).replace("[0, 1, 7]", "[0, 1, 3, 7]");
    let mut found = Vec::new();
    for attempt in 0..3 {
        let mut session = Session::start(&format!("many{attempt}"), &scenario, &[]);
        let rates = rates(&iperf(&session, &[0, 1, 3], &["-P", "2", "-O", "1"]));
        let told = session.end("-TERM").1;
        let sum: f64 = rates.iter().sum();
        let fabric = &told["fabric"];
        let seen =
            ["dropped", "ecn_marked", "trimmed"].map(|key| fabric[key].as_u64().unwrap_or(0));
        eprintln!("{rates:.1?} Mb/s, Jain {:.4}, dropped, marked, trimmed {seen:?}", jain(&rates));
        assert!(sum < 96.0, "{sum} Mb/s of 100: {told}");
        found.push((sum, seen));
        if sum > 88.0 && seen.iter().sum::<u64>() > 10 {
            return;
        }
    }
    panic!("goodput in Mb/s, and dropped, marked and trimmed: {found:?}");
}

/// A link that fails is left within the convergence time: flows that went over it have a gap of that length, others none.
#[test]
fn a_failing_link_is_left_within_the_convergence_time() {
    if !can_run(&[]) {
        return;
    }
    let _alone = alone();
    let scenario = FAR
        .replace("1 ms", "20 us")
        .replace("link_rate", "routing = { convergence = \"300 ms\" }\nlink_rate")
        + "[[fault]]\nkind = \"link-down\"\nlink = [\"leaf:0\", \"spine:0\"]\nat = \"5 s\"\n";
    let mut session = Session::start("fault", &scenario, &[]);
    let receiver =
        session.tool(7, "receive 6000").stdout(Stdio::piped()).spawn().expect("it starts");
    std::thread::sleep(Duration::from_millis(500));
    // A datagram to each of eight ports every 4 ms for 8 s.
    assert_eq!(session.told(0, "send 10.0.0.8 6000 2000 4000"), "2000 sent");
    let told = lab::tools::said(&receiver.wait_with_output().expect("it ends"));
    let (_, ended) = session.end("-TERM");
    let flow = |word: &str| {
        let (count, gap) = word.split_once(':').unwrap_or_else(|| panic!("{told}"));
        (count.parse::<u64>().expect("a number"), gap.parse::<f64>().expect("a number") / 1e3)
    };
    let flows: Vec<(u64, f64)> = told.split(' ').map(flow).collect();
    let lag = ended["lag"]["max_us"].as_f64().expect("a lag") / 1e3;
    eprintln!("datagrams and longest gap in ms of each flow: {flows:?}; lag {lag:.1} ms");
    let (over, others): (Vec<_>, Vec<_>) = flows.iter().partition(|(count, _)| *count < 1_990);
    assert!(!over.is_empty() && !others.is_empty(), "some flows went over the link: {flows:?}");
    for (count, gap) in over {
        // 300 ms are 75 datagrams.
        assert!((1_900..1_940).contains(&count), "{count} of 2,000 came");
        // The sender may be held up as well.
        assert!(gap > 290.0 && gap < 300.0 + 4.0 + lag + 100.0, "{gap} ms without one");
    }
    for (_, gap) in others {
        assert!(gap < 290.0, "{gap} ms without a datagram, on the way that did not fail");
    }
}

/// All-reduces of growing vectors, each element checked.
const SUMS: &str = r#"
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    int rank, size, wrong = 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    for (int count = 1; count <= 1 << 18; count *= 8) {
        long *in = malloc(count * sizeof *in), *out = malloc(count * sizeof *out);
        for (int i = 0; i < count; i++) in[i] = (long)(rank + 1) * (i + 1);
        MPI_Allreduce(in, out, count, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
        for (int i = 0; i < count; i++) wrong += out[i] != (long)size * (size + 1) / 2 * (i + 1);
        free(in);
        free(out);
    }
    MPI_Allreduce(MPI_IN_PLACE, &wrong, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    if (rank == 0) printf("%d ranks, %d wrong\n", size, wrong);
    MPI_Finalize();
    return wrong != 0;
}
"#;

/// Open MPI adds up right over TCP between five hosts, on leaves and spines that spray every packet, with simulated hosts that send
/// as well, while a link fails and comes back.
#[test]
fn mpi_adds_up_right() {
    if !can_run(&["mpirun", "mpicc"]) {
        return;
    }
    let _alone = alone();
    let scenario = "name = \"mpi\"\n[topology]\nkind = \"leaf-spine\"\nhosts = 16\nhosts_per_leaf = 2\nspines = 2\n\
        link_rate = \"200 Mb/s\"\nlink_delay = \"20 us\"\nrouting = { kind = \"round-robin\", convergence = \"10 ms\" }\n\
        [live]\ntolerance = \"500 ms\"\n[[host]]\nnumber = [0, 3, 4, 7, 15]\nattach = \"veth\"\n[workload]\n\
        kind = \"poisson\"\nsizes = \"google-rpc\"\nload = 0.2\nduration = \"30 s\"\n\
        [[fault]]\nkind = \"link-flap\"\nlink = [\"leaf:0\", \"spine:0\"]\nat = \"1 s\"\nperiod = \"2 s\"\ndown = \"500 ms\"\ncount = 10\n";
    let mut session = Session::start("mpi", scenario, &[]);
    let place = &session.place;
    place.file("sums.c", SUMS);
    // Open MPI starts its daemons by `agent HOST COMMAND`: here in the host's namespace. Each gets a folder of its own, as on hosts that
    // share no disk: daemons that make the same one at the same moment fail.
    let agent = format!(
        "#!/bin/sh\nhost=$1; shift\nexport TMPDIR={}/$host; mkdir \"$TMPDIR\" || exit 1\n\
         exec ip netns exec ultraloom-{}-h$((${{host##*.}} - 1)) sh -c \"$*\"\n",
        place.0.display(),
        session.name
    );
    let agent = place.file("agent.sh", &agent).display().to_string();
    let program = place.0.join("sums").display().to_string();
    let compiled =
        Command::new("mpicc").current_dir(&place.0).args(["sums.c", "-o", "sums"]).status();
    assert!(compiled.is_ok_and(|status| status.success()), "mpicc");
    assert!(
        Command::new("chmod").args(["+x", &agent]).status().is_ok_and(|status| status.success())
    );
    let hosts = "10.0.0.1:1,10.0.0.4:1,10.0.0.5:1,10.0.0.8:1,10.0.0.16:1";
    let mut run = session.on(0, &["timeout", "120", "mpirun", "--allow-run-as-root", "-np", "5"]);
    run.args(["--host", hosts, "--mca", "plm", "rsh", "--mca", "plm_rsh_agent", &agent]);
    run.args(["--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", "10.0.0.0/8"]);
    let output = run
        .args(["--mca", "oob_tcp_if_include", "10.0.0.0/8", &program])
        .env("TMPDIR", &place.0)
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    let (_, told) = session.end("-TERM");
    eprintln!("{}; {}", said.trim(), told["frames"]);
    assert!(
        output.status.success() && said.contains("5 ranks, 0 wrong"),
        "{said}{complaint}{told}"
    );
    // At least the vectors went through the fabric.
    assert!(told["frames"]["delivered"].as_u64() > Some(5_000), "{told}");
}
