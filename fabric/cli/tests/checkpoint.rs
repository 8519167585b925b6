//! Runs that are stopped and go on, as a user meets them.

#![allow(clippy::disallowed_methods, reason = "tests wait for processes")]

mod place;

use std::process::{Command, Stdio};
use std::time::Duration;

use place::Place;
use serde_json::Value;

/// Four variants of about a tenth of a second each, with faults; TCP's state is not stored.
const SCENARIO: &str = "name = \"long\"\n[topology]\nhosts = 128\n[workload]\nkind = \"permutation\"\n\
    bytes = \"2 MB\"\n[[fault]]\nkind = \"link-flap\"\nlink = [\"tor:0\", \"agg:0\"]\nperiod = \"20 us\"\n\
    down = \"5 us\"\ncount = 5\n[variants.uec]\n[variants.hpcc]\n\
    transport = { kind = \"roce\", congestion = \"hpcc\" }\n[variants.ndp]\n\
    transport = { kind = \"ndp\" }\n[variants.tcp]\ntransport = { kind = \"tcp\" }\n\
    workload.bytes = \"200 KB\"\n";

fn summary(stdout: &[u8]) -> Value {
    serde_json::from_slice(stdout).expect("one JSON object")
}

/// What must be equal, variant by variant.
fn witness(summary: &Value) -> Vec<(Value, Value, Value)> {
    let variants = summary["variants"].as_array().expect("variants");
    let of = |v: &Value| (v["digest"].clone(), v["fct_us"].clone(), v["packets"].clone());
    variants.iter().map(of).collect()
}

/// Killed at ten moments, and gone on with each time by another number of threads, a run gives what it gives in one go;
/// its folder is the same, and nothing else is left.
#[test]
fn a_run_killed_ten_times_ends_as_if_it_had_not_been() {
    let place = Place::new("checkpoint-kill");
    place.file("long.toml", SCENARIO);
    let json = ["--output", "json"];
    let once = place.ultraloom(&[&["run", "long.toml", "--out", "once"][..], &json].concat());
    let once = witness(&summary(&once.stdout));
    let go_on = ["run", "long.toml", "--out", "often", "--checkpoint-every", "5 us", "--resume"];
    let mut seed = 1u64;
    let mut killed = 0;
    while killed < 10 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let threads = if killed % 2 == 0 { "1" } else { "2" };
        let mut run = Command::new(env!("CARGO_BIN_EXE_ultraloom"))
            .current_dir(&place.0)
            .args(go_on)
            .args(["--threads", threads])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        std::thread::sleep(Duration::from_millis(20 + (seed >> 33) % 180));
        let over = run.try_wait().expect("a state").is_some();
        run.kill().expect("a process of ours");
        run.wait().expect("it ends");
        killed += 1;
        if over {
            break; // as many as there was time for
        }
    }
    assert!(killed >= 5, "the run takes longer than five kills");
    if !place.0.join("often").exists() {
        let last = place.ultraloom(&go_on);
        assert!(last.status.success(), "{}", String::from_utf8_lossy(&last.stderr));
    }
    let text = std::fs::read(place.0.join("often/summary.json")).expect("a summary");
    assert_eq!(witness(&summary(&text)), once, "killed {killed} times");
    for records in [
        "flows.parquet",
        "ports.parquet",
        "port_samples.parquet",
        "connection_samples.parquet",
        "completion.svg",
        "scenario.toml",
    ] {
        let [one, other] = ["once", "often"]
            .map(|folder| std::fs::read(place.0.join(folder).join(records)).expect("records"));
        assert_eq!(one, other, "{records}");
    }
    let mut names: Vec<_> = std::fs::read_dir(&place.0)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    assert_eq!(names, ["long.toml", "often", "once"]);
}

/// A signal stores the state; the run goes on without its scenario's file, and by its folder's name alone.
#[test]
fn a_run_that_is_told_to_stop_goes_on_by_its_folder() {
    let place = Place::new("checkpoint-stop");
    let file = place.file("long.toml", &SCENARIO.replace("\"2 MB\"", "\"20 MB\""));
    let run = Command::new(env!("CARGO_BIN_EXE_ultraloom"))
        .current_dir(&place.0)
        .args(["run", "long.toml", "--out", "mine", "--checkpoint-every", "1 h wall"])
        .args(["--set", "workload.bytes=16MB"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let begun = place.0.join("mine.checkpoint/about.json");
    while !begun.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    let told = Command::new("kill").args(["-TERM", &run.id().to_string()]).status();
    assert!(told.expect("kill starts").success());
    let output = run.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--resume"));
    assert!(!place.0.join("mine").exists() && begun.exists());
    std::fs::remove_file(file).expect("it was there");
    let on = place.ultraloom(&["run", "--resume", "mine", "--output", "json"]);
    assert!(on.status.success(), "{}", String::from_utf8_lossy(&on.stderr));
    let whole = place.file("whole.toml", &SCENARIO.replace("\"2 MB\"", "\"16 MB\""));
    let whole = whole.display().to_string();
    let once = place.ultraloom(&["run", &whole, "--out", "once", "--output", "json"]);
    assert_eq!(witness(&summary(&on.stdout)), witness(&summary(&once.stdout)));
    assert!(
        place.0.join("mine/flows.parquet").exists() && !place.0.join("mine.checkpoint").exists()
    );
}

/// Another scenario, another interval's spelling, a checkpoint in the way, and one that is damaged are refused, each with
/// what would help; with nothing to go on from, the run begins.
#[test]
fn what_cannot_go_on_is_refused() {
    let place = Place::new("checkpoint-wrong");
    place.file("small.toml", place::SMALL);
    let wrong = place.refused(&["run", "small.toml", "--checkpoint-every", "10 min"]);
    assert!(wrong.contains("10 min wall"), "{wrong}");
    // A run that is killed at once has left this much.
    std::fs::create_dir(place.0.join("out.checkpoint")).expect("a folder");
    let begun = place.ultraloom(&[
        "run",
        "small.toml",
        "--out",
        "out",
        "--checkpoint-every",
        "1us",
        "--resume",
    ]);
    assert!(begun.status.success());
    assert!(String::from_utf8_lossy(&begun.stderr).contains("begins at its start"));

    let mut run = Command::new(env!("CARGO_BIN_EXE_ultraloom"))
        .current_dir(&place.0)
        .args(["run", "small.toml", "--out", "left", "--checkpoint-every", "1us"])
        .args(["--set", "workload.bytes=100MB"])
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    while !place.0.join("left.checkpoint/current").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    run.kill().expect("a process of ours");
    run.wait().expect("it ends");
    let again = ["run", "small.toml", "--out", "left", "--checkpoint-every", "1us"];
    let wrong = place.refused(&again);
    assert!(wrong.contains("left.checkpoint is there") && wrong.contains("--resume"), "{wrong}");
    let other = place.refused(&[&again[..], &["--resume", "--seed", "9"]].concat());
    assert!(other.contains("another scenario") && other.contains("seed"), "{other}");
    let current = std::fs::read_to_string(place.0.join("left.checkpoint/current")).expect("text");
    let state = format!("left.checkpoint/run-{}/shard-0", current.trim().replace(' ', "-"));
    let shard = place.0.join(state);
    let bytes = std::fs::read(&shard).expect("a state");
    std::fs::write(&shard, &bytes[..bytes.len() / 2]).expect("written");
    let damaged = place.ultraloom(&["run", "--resume", "--out", "left"]);
    let message = String::from_utf8_lossy(&damaged.stderr);
    assert_eq!(damaged.status.code(), Some(2), "{message}");
    assert!(message.contains("shard-0 is damaged"), "{message}");
}

/// What a killed process has left half-written goes with the next run of that name, what a living one writes does not.
#[test]
fn leftovers_of_killed_runs_are_swept() {
    let place = Place::new("checkpoint-sweep");
    place.file("small.toml", place::SMALL);
    let mut ended = Command::new("true").spawn().expect("it starts");
    ended.wait().expect("it ends");
    let dead = place.0.join(format!(".out.partial-{}", ended.id()));
    let living = place.0.join(format!(".out.partial-{}", std::process::id()));
    for folder in [&dead, &living] {
        std::fs::create_dir(folder).expect("a folder");
    }
    assert!(place.ultraloom(&["run", "small.toml", "--out", "out"]).status.success());
    assert!(!dead.exists() && living.exists());
}
