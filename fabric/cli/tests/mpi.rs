//! One emulation over several processes, as a user starts it with `mpirun`. Needs the feature `mpi`.

#![cfg(feature = "mpi")]
#![allow(clippy::disallowed_methods, reason = "tests wait for processes")]

mod place;

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use place::{Place, SMALL};
use serde_json::Value;

/// `mpirun` on this machine: as root and with more ranks than cores, which it refuses unless told. What it keeps on disk is in a folder
/// of its own: two that make the same one at the same moment fail.
fn mpirun(place: &Place, ranks: usize, arguments: &[&str]) -> Command {
    let mut command = Command::new("mpirun");
    command
        .env("TMPDIR", &place.0)
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .current_dir(&place.0)
        .args(["--oversubscribe", "-n", &ranks.to_string(), env!("CARGO_BIN_EXE_ultraloom")])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn summary(output: &std::process::Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{errors}"))
}

/// Several processes give one summary, with the digest of one process, and one folder with the same records.
#[test]
fn ranks_give_one_folder_with_the_same_records() {
    let place = Place::new("mpi-same");
    place.file("small.toml", SMALL);
    let alone = place.ultraloom(&["run", "small.toml", "--out", "alone", "--output", "json"]);
    let alone = summary(&alone);
    for ranks in 1..=4 {
        let out = format!("ranks-{ranks}");
        let threads = if ranks == 2 { "2" } else { "1" };
        let arguments =
            ["run", "small.toml", "--out", &out, "--output", "json", "--threads", threads];
        let output = mpirun(&place, ranks, &arguments).output().expect("mpirun starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let together = summary(&output);
        for variant in 0..2 {
            let [one, several] = [&alone, &together].map(|summary| &summary["variants"][variant]);
            assert_eq!(one["digest"], several["digest"], "{ranks} ranks");
            assert_eq!(one["fct_us"], several["fct_us"]);
            assert_eq!(several["engine"]["ranks"], ranks);
        }
        for records in
            ["flows.parquet", "ports.parquet", "port_samples.parquet", "connection_samples.parquet"]
        {
            let [one, several] = ["alone", &out]
                .map(|folder| std::fs::read(place.0.join(folder).join(records)).expect("records"));
            assert_eq!(one, several, "{records} of {ranks} ranks");
        }
    }
}

/// What the user has to mend is said once, and the exit code is 2.
#[test]
fn errors_are_said_once() {
    let place = Place::new("mpi-error");
    place.file("wrong.toml", "[topology]\nhosts = 16\nhots = 3\n");
    let output = mpirun(&place, 3, &["run", "wrong.toml"]).output().expect("mpirun starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert_eq!(errors.matches("hots").count(), 2, "title and line, once: {errors}");
    assert!(!place.0.join("results").exists());
}

/// A rank that is killed ends all others within 5 s, with a message, and leaves no process behind.
#[test]
fn a_killed_rank_ends_the_run() {
    let place = Place::new("mpi-kill");
    let scenario =
        "[topology]\nhosts = 1024\n[workload]\nkind = \"permutation\"\nbytes = \"1 GB\"\n";
    place.file("long.toml", scenario);
    let arguments = ["run", "long.toml", "--threads", "1", "--out", "never"];
    let mut run = mpirun(&place, 3, &arguments).spawn().expect("mpirun starts");
    let ranks = ranks_of(&run);
    std::thread::sleep(Duration::from_secs(1));
    assert!(run.try_wait().expect("a state").is_none(), "it is still running");
    signal("-KILL", ranks[1]);
    let killed = Instant::now();
    let status = loop {
        if let Some(status) = run.try_wait().expect("a state") {
            break status;
        }
        assert!(killed.elapsed() < Duration::from_secs(5), "the run has not ended within 5 s");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(!status.success());
    let mut message = String::new();
    run.stderr.take().expect("captured").read_to_string(&mut message).expect("text");
    assert!(message.contains("rank 1") && message.contains("killed") || message.contains("Killed"));
    while ranks.iter().any(|rank| std::path::Path::new(&format!("/proc/{rank}")).exists()) {
        assert!(killed.elapsed() < Duration::from_secs(5), "a process is left: {ranks:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!place.0.join("never").exists());
}

/// Killed with checkpoints on, a run goes on with another number of ranks, and has the digest of one process.
#[test]
fn a_killed_run_goes_on_with_other_ranks() {
    let place = Place::new("mpi-resume");
    let scenario =
        "[topology]\nhosts = 128\n[workload]\nkind = \"permutation\"\nbytes = \"8 MB\"\n";
    place.file("long.toml", scenario);
    let arguments = ["--threads", "1", "--shards", "4", "--output", "json"];
    let alone =
        place.ultraloom(&[&["run", "long.toml", "--out", "alone"][..], &arguments].concat());
    let go_on = ["run", "long.toml", "--out", "often", "--checkpoint-every", "10us", "--resume"];
    let go_on = [&go_on[..], &arguments].concat();
    for ranks in [3, 2] {
        let before = std::fs::read_to_string(place.0.join("often.checkpoint/current")).ok();
        let mut run = mpirun(&place, ranks, &go_on).spawn().expect("mpirun starts");
        let begun = Instant::now();
        loop {
            let now = std::fs::read_to_string(place.0.join("often.checkpoint/current")).ok();
            if now.is_some() && now != before {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "a checkpoint is written");
            std::thread::sleep(Duration::from_millis(2));
        }
        let killed = Command::new("pkill").args(["-KILL", "-P", &run.id().to_string()]).status();
        assert!(killed.expect("pkill starts").success());
        run.wait().expect("it ends");
    }
    let output = mpirun(&place, 4, &go_on).output().expect("mpirun starts");
    let (one, several) = (summary(&alone), summary(&output));
    assert_eq!(one["variants"][0]["digest"], several["variants"][0]["digest"]);
    assert_eq!(several["variants"][0]["engine"]["ranks"], 4);
    assert!(!place.0.join("often.checkpoint").exists());
}

/// The processes of a run, by rank, once all are there.
fn ranks_of(run: &Child) -> Vec<u32> {
    let begun = Instant::now();
    loop {
        let children = Command::new("pgrep").args(["-P", &run.id().to_string()]).output();
        let text = String::from_utf8(children.expect("pgrep starts").stdout).expect("text");
        let mut found: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
        if found.len() == 3 {
            found.sort_unstable();
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "three ranks start");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").args([name, &process.to_string()]).status();
    assert!(sent.expect("kill starts").success());
}
