//! Sweeps as a user types them.

mod place;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use place::Place;

/// 200 runs of a few milliseconds each.
const MANY: &str = "name = \"many\"\n[topology]\nhosts = 16\n[workload]\nkind = \"permutation\"\nbytes = \"40 KB\"\n\
    [sweep]\n\"workload.bytes\" = { from = \"10 KB\", to = \"100 KB\", step = \"10 KB\" }\n\
    \"transport.spraying\" = [\"reps\", \"ecmp\"]\nseeds = 10\n[records]\nseries = false\n";

/// The tables and figures of a sweep, by name.
fn made(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let names = [
        "runs.csv",
        "runs.parquet",
        "sweep.csv",
        "sweep.parquet",
        "sweep.txt",
        "sweep.svg",
        "sweep.png",
    ];
    let read =
        |name: &str| std::fs::read(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    names.map(|name| (name.to_owned(), read(name))).into()
}

fn complete(folder: &Path) -> usize {
    let runs = std::fs::read_dir(folder.join("runs")).into_iter().flatten().flatten();
    runs.filter(|run| run.path().join("manifest.json").exists()).count()
}

/// A sweep of 200 runs that is killed at some moment goes on where it was, and ends with the same tables and figures as one
/// that nobody disturbed.
#[test]
fn a_sweep_survives_being_killed() {
    let place = Place::new("sweep-killed");
    place.file("many.toml", MANY);
    let whole = place.ultraloom(&["sweep", "many.toml", "--out", "whole"]);
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    let mut child = Command::new(env!("CARGO_BIN_EXE_ultraloom"))
        .current_dir(&place.0)
        .args(["sweep", "many.toml", "--out", "cut", "--jobs", "1"])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let cut = place.0.join("cut");
    while complete(&cut) < 60 {
        assert!(child.try_wait().expect("a child").is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    // SIGKILL.
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    let there = complete(&cut);
    assert!((60..200).contains(&there), "{there} runs");
    assert!(!cut.join("sweep.csv").exists());
    let resumed = place.ultraloom(&["sweep", "many.toml", "--out", "cut", "--resume"]);
    let errors = String::from_utf8_lossy(&resumed.stderr).into_owned();
    assert!(resumed.status.success(), "{errors}");
    assert!(
        errors.contains(&format!("200 runs, {there} of them complete, {} to do", 200 - there)),
        "{errors}"
    );
    assert!(made(&cut) == made(&place.0.join("whole")), "the same tables");
    assert_eq!(
        std::fs::read_dir(cut.join("runs")).expect("runs").count(),
        200,
        "nothing half-written is left"
    );
    let rows = String::from_utf8(made(&cut)["runs.csv"].clone()).expect("text");
    assert_eq!(rows.lines().count(), 201);
}

/// Shares of a sweep, each its own process, make the same tables; the last one makes them. A script for Slurm names them all.
#[test]
fn shares_make_a_whole() {
    let place = Place::new("sweep-shares");
    let text =
        MANY.replace("seeds = 10", "seeds = 2").replace("step = \"10 KB\"", "step = \"45 KB\"");
    place.file("few.toml", &text);
    assert!(place.ultraloom(&["sweep", "few.toml", "--out", "whole"]).status.success());
    for share in ["1/3", "3/3", "2/3"] {
        assert!(!place.0.join("parts/sweep.csv").exists());
        let output = place.ultraloom(&["sweep", "few.toml", "--out", "parts", "--shard", share]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(made(&place.0.join("parts")) == made(&place.0.join("whole")));
    let arguments = ["sweep", "few.toml", "--out", "parts", "--slurm", "job.sh", "--tasks", "3"];
    assert!(place.ultraloom(&arguments).status.success());
    let script = std::fs::read_to_string(place.0.join("job.sh")).expect("a script");
    for line in [
        "#SBATCH --array=1-3\n",
        "ultraloom sweep few.toml --out parts --jobs 1 --shard \"$SLURM_ARRAY_TASK_ID/3\"\n",
    ] {
        assert!(script.contains(line), "{script}");
    }
    let syntax = Command::new("bash").arg("-n").arg(place.0.join("job.sh")).status().expect("bash");
    assert!(syntax.success());
}

/// The sweep that ships shows the bandwidth of an all-reduce growing with its size, with an interval over seeds; its folders are
/// runs like any other.
#[test]
fn the_sweep_that_ships_compares_sizes() {
    let place = Place::new("sweep-ships");
    let scenario =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../topologies/scenarios/sweep.toml");
    let output = place.ultraloom(&[
        "sweep",
        &scenario.display().to_string(),
        "--out",
        "o",
        "--output",
        "json",
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    let rows = value["sweep"].as_array().expect("rows");
    assert_eq!((value["runs"].as_u64(), rows.len()), (Some(12), 8));
    let bandwidth = |size: &str, variant: &str| {
        let row = rows.iter().find(|r| r["workload.bytes"] == size && r["variant"] == variant);
        row.and_then(|row| row["bus_bandwidth_gbps"].as_f64()).expect("a figure")
    };
    for variant in ["uec", "roce"] {
        assert!(bandwidth("4 MiB", variant) > 3.0 * bandwidth("64 KiB", variant));
    }
    assert!(rows.iter().any(|row| row["fct_p99_us_ci95"].as_f64().expect("a width") > 0.0));
    let run = place.0.join("o/runs/0001_bytes=64KiB_seed=1");
    for file in ["flows.parquet", "scenario.toml", "manifest.json"] {
        assert!(run.join(file).exists(), "{file}");
    }
}

/// What cannot be swept is refused before anything runs.
#[test]
fn mistakes_are_refused() {
    let place = Place::new("sweep-refused");
    place.file("plain.toml", &MANY.replace("[sweep]", "[nothing]"));
    place.file("many.toml", MANY);
    place.file("wrong.toml", &MANY.replace("\"ecmp\"]", "\"ecpm\"]"));
    for (arguments, message) in [
        (&["sweep", "plain.toml"][..], "plain.toml has no [sweep]"),
        (&["sweep", "many.toml", "--out", "o", "--resume"], "there is no sweep in o"),
        (&["sweep", "many.toml", "--shard", "1/2"], "--out"),
        (&["sweep", "many.toml", "--out", "o", "--shard", "3/2"], "write I/N"),
        (&["sweep", "wrong.toml"], "`transport.spraying` is `ecpm`"),
    ] {
        let text = place.refused(arguments);
        assert!(text.contains(message), "{message}: {text}");
    }
    place.file(
        "few.toml",
        &MANY.replace("seeds = 10", "seeds = 1").replace("step = \"10 KB\"", "step = \"90 KB\""),
    );
    assert!(place.ultraloom(&["sweep", "few.toml", "--out", "o"]).status.success());
    let text = place.refused(&["sweep", "many.toml", "--out", "o", "--resume"]);
    assert!(text.contains("o is of another sweep"), "{text}");
    let text = place.refused(&["sweep", "few.toml", "--out", "o"]);
    assert!(text.contains("exists and is not empty"), "{text}");
}
