//! `ultraloom validate` as a user types it.

mod place;

use std::path::Path;
use std::process::Output;

use place::Place;
use serde_json::Value;

fn validate(place: &Place, arguments: &[&str]) -> Output {
    place.ultraloom(&[&["validate"], arguments].concat())
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("one object: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Each check of each row: what is compared, ours, and the verdict.
fn checks(value: &Value) -> Vec<(String, f64, bool)> {
    let mut found = Vec::new();
    for group in value["groups"].as_array().expect("groups") {
        for row in group["rows"].as_array().expect("rows") {
            assert_eq!(row["problem"], Value::Null);
            for check in row["checks"].as_array().expect("checks") {
                let name = check["compared"].as_str().expect("text").to_owned();
                let ours = check["ours"].as_f64().expect("a number");
                found.push((name, ours, check["agrees"].as_bool().expect("a truth")));
            }
        }
    }
    found
}

/// Single flows agree with the closed form at every rate, with either congestion control, and the command
/// succeeds; the folder holds the same figures and a plot.
#[test]
fn single_flows_agree() {
    let place = Place::new("validate-one");
    let output = validate(
        &place,
        &["--filter", "one_2MB", "--output", "json", "--seeds", "2", "--out", "kept"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let value = json(&output);
    assert_eq!((&value["agrees"], &value["seeds"]), (&Value::Bool(true), &Value::from(2)));
    let checks = checks(&value);
    assert_eq!(checks.len(), 4);
    assert!(checks.iter().any(|(_, ours, _)| (ours - 53.0499).abs() < 0.053));
    let read = |name: &str| std::fs::read(place.0.join("kept").join(name)).expect("a file");
    assert_eq!(serde_json::from_slice::<Value>(&read("validate.json")).expect("JSON"), value);
    assert!(
        read("validate.svg").starts_with(b"<svg") && read("validate.png").starts_with(b"\x89PNG")
    );
}

/// A permutation and an incast agree in mean, tail and retransmissions; the table says so line by line.
#[test]
fn a_permutation_and_an_incast_agree() {
    let place = Place::new("validate-some");
    for row in ["perm128_s1_2MB 400 nscc reps", "incast8_1MB_128 400 nscc mixed"] {
        let output = validate(&place, &["--filter", row]);
        let text = String::from_utf8(output.stdout).expect("text");
        assert_eq!(output.status.code(), Some(0), "{text}");
        for compared in ["mean, us", "tail, us", "retransmissions"] {
            let line = text.lines().find(|line| line.contains(compared)).expect("a line");
            assert!(line.ends_with("agrees"), "{line}");
        }
    }
}

/// Figures that are not the reference's are told apart: exit code 1, and the row says which.
#[test]
fn wrong_figures_differ() {
    let place = Place::new("validate-wrong");
    let text = "case,gbps,setup,seed,mean_us,max_us,rtx\n\
        one_2MB_128,400,nscc mixed,1,53.0499,53.0499,0\n\
        pair_same_tor_2MB_128,400,nscc mixed,1,44.8,44.8,0\n";
    std::fs::write(place.0.join("wrong.csv"), text).expect("a file");
    let arguments = ["--reference", "wrong.csv", "--output", "json", "--seeds", "1"];
    let output = validate(&place, &arguments);
    assert_eq!(output.status.code(), Some(1));
    let verdicts: Vec<bool> = checks(&json(&output)).iter().map(|(_, _, agrees)| *agrees).collect();
    assert_eq!(verdicts, [true, false]);
    let markdown = validate(&place, &["--reference", "wrong.csv", "--output", "markdown"]);
    let text = String::from_utf8(markdown.stdout).expect("text");
    assert!(
        text.contains("1 of 2 rows agree") && text.contains("|---") && text.contains("DIFFERS")
    );
}

/// Published results of the reference are run from their command lines.
#[test]
fn published_results_are_run() {
    let place = Place::new("validate-published");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    if !data.join("data/uet-htsim/golden.csv").is_file() {
        eprintln!("SKIP: the published results are not at {}", data.display());
        return;
    }
    let data = data.display().to_string();
    let filter = ["--filter", "uec_connreuse", "--seeds", "1", "--output", "json"];
    let output = validate(&place, &[&["--data", &data][..], &filter].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(checks(&json(&output)).len(), 12);
}

/// Mistakes of the user are one error each, with exit code 2, before anything runs.
#[test]
fn mistakes_are_named() {
    let place = Place::new("validate-mistakes");
    std::fs::write(place.0.join("bad.csv"), "case,gbps,setup,mean_us,max_us,rtx\none,x,y,1,1,1\n")
        .expect("a file");
    for (arguments, message) in [
        (&["--filter", "nothing"][..], "no row contains `nothing`"),
        (&["--reference", "none.csv"], "cannot read none.csv"),
        (&["--reference", "bad.csv"], "bad.csv:2:1"),
        (&["--data", "nowhere"], "--data takes the folder above data/uet-htsim"),
        (&["--seeds", "0"], "0 is not in 1..=1000"),
    ] {
        let output = validate(&place, arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty() && text.contains(message), "{text}");
    }
}
