//! Reports, and the page of live sessions, in a real browser: Chromium, driven by playwright-core. Skipped, with the reason, where
//! either is missing.

mod control;
mod lab;
mod place;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use control::{Session, TOKEN};
use place::{Place, SMALL};
use serde_json::Value;

/// Where the browser is.
fn chromium() -> Option<PathBuf> {
    let known = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    known.iter().map(PathBuf::from).find(|path| path.exists())
}

/// A folder with playwright-core, installed on first use: by one test, while the others wait.
fn playwright() -> Option<PathBuf> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(install).clone()
}

fn install() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    std::fs::create_dir_all(&folder).ok()?;
    if !folder.join("node_modules/playwright-core").exists() {
        std::fs::write(folder.join("package.json"), "{\"private\":true}").ok()?;
        let arguments = ["install", "playwright-core@1", "--no-audit", "--no-fund", "--silent"];
        let done = Command::new("npm").current_dir(&folder).args(arguments).status().ok()?;
        done.success().then_some(())?;
    }
    for script in ["report.mjs", "live.mjs"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser").join(script);
        std::fs::copy(from, folder.join(script)).ok()?;
    }
    Some(folder)
}

/// What the browser finds in a report; `None` if there is no browser.
fn open(report: &Path) -> Option<Value> {
    let shots = report.with_extension("shots");
    let pictures = ["top.png", "charts.png", "dark.png", "whole.png"];
    drive("report.mjs", &[report.as_os_str()], &shots, &pictures)
}

/// What a script finds in the browser, with screenshots in a folder; `None` if there is no browser.
fn drive(script: &str, arguments: &[&OsStr], shots: &Path, pictures: &[&str]) -> Option<Value> {
    let (Some(chromium), Some(folder)) = (chromium(), playwright()) else {
        eprintln!("SKIP: Chromium, Node.js or playwright-core is not here");
        return None;
    };
    std::fs::create_dir_all(shots).expect("a folder");
    let output = Command::new("node")
        .current_dir(&folder)
        .env("CHROMIUM", chromium)
        .arg(script)
        .args(arguments)
        .arg(shots)
        .output()
        .expect("Node.js");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in pictures {
        let picture = std::fs::read(shots.join(name)).expect("a screenshot");
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 10_000, "{name}");
    }
    Some(serde_json::from_slice(&output.stdout).expect("one object"))
}

/// What holds of every report: no error, nothing asked of anywhere else, charts that react, both themes.
fn holds(found: &Value) {
    assert_eq!((&found["errors"], &found["asked"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    for key in ["zoomed", "dark"] {
        assert_eq!(found[key], true, "{key}: {found}");
    }
    assert!(found["hover"].as_u64() > Some(0), "{found}");
    assert_eq!(found["hidden"], 1, "a click on the legend hides a series: {found}");
}

/// The report of a run shows its tables, charts that zoom, tell and hide, and links that change with the slider's time.
#[test]
fn the_report_of_a_run_reacts() {
    let place = Place::new("report");
    place.file("small.toml", SMALL);
    assert!(place.ultraloom(&["run", "small.toml", "--out", "o"]).status.success());
    let output = place.ultraloom(&["report", "o"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let Some(found) = open(&place.0.join("o/report.html")) else { return };
    holds(&found);
    assert_eq!(found["moves"], true, "{found}");
    assert!(found["charts"].as_u64() > Some(5) && found["tables"].as_u64() > Some(1), "{found}");
    assert!(found["causes"].as_u64() > Some(3), "{found}");
    let explanation = found["explanation"].as_str().expect("a slow flow opens");
    assert!(
        explanation.contains("sender: serialisation") && explanation.contains("sum"),
        "{found}"
    );
}

/// The report of a sweep at 1,024 hosts, with one of its runs beside it, opens as well.
#[test]
fn the_report_of_a_large_sweep_opens() {
    let place = Place::new("report-large");
    let text = "name = \"large\"\nprofile = \"htsim\"\n[topology]\nhosts = 1024\n[workload]\nkind = \"permutation\"\n\
        bytes = \"50 KB\"\n[sweep]\n\"workload.bytes\" = [\"50 KB\", \"100 KB\"]\nseeds = 2\n[variants.mixed]\n\
        [variants.ecmp]\ntransport.spraying = \"ecmp\"\n[records]\nports = \"all\"\n";
    place.file("large.toml", text);
    let output = place.ultraloom(&["sweep", "large.toml", "--out", "o"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output =
        place.ultraloom(&["report", "o", "o/runs/0001_bytes=50KB_seed=1", "--out", "r.html"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let Some(found) = open(&place.0.join("r.html")) else { return };
    holds(&found);
    assert_eq!(found["moves"], true, "{found}");
}

/// What is no folder of a run or sweep is refused.
#[test]
fn a_report_needs_folders_of_runs() {
    let place = Place::new("report-refused");
    assert!(place.refused(&["report", "nowhere"]).contains("nowhere is no folder of a run"));
}

/// Eight hosts that send to each other by the clock.
const LIVE: &str = "name = \"seen\"\n[topology]\nkind = \"leaf-spine\"\nhosts = 8\nhosts_per_leaf = 2\nspines = 2\n\
    link_rate = \"1 Gb/s\"\nlink_delay = \"20 us\"\n[live]\ndilation = 20\n[workload]\nkind = \"poisson\"\n\
    sizes = \"google-rpc\"\nload = 0.3\nduration = \"20 s\"\n";

/// The page of a live session shows load that moves; a click on a link and a button take it down, once a wrong token has been refused and the
/// right one given, and bring it up again; a switch fails and comes back; what is wrong is said. Light and dark, wide and narrow.
#[test]
fn the_page_of_a_live_session_reacts() {
    let mut session = Session::start("page", LIVE, &[]);
    let url = format!("http://{}/", session.address);
    let shots = session.place.0.join("shots");
    let arguments = [OsStr::new(&url), OsStr::new(TOKEN)];
    let pictures = ["wide.png", "down.png", "dark.png", "narrow.png"];
    let found = drive("live.mjs", &arguments, &shots, &pictures);
    let changes = session.get("status").1["changes"].as_u64();
    session.post("stop", "");
    assert_eq!(session.wait().0, Some(0));
    let Some(found) = found else { return };
    assert_eq!((&found["errors"], &found["asked"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    for key in [
        "moves",
        "asks",
        "down",
        "drawn_down",
        "up",
        "slower",
        "failed",
        "back",
        "paused",
        "dark",
        "fits",
    ] {
        assert_eq!(found[key], true, "{key}: {found}");
    }
    assert_eq!((&found["links"], &found["nodes"]), (&16.into(), &14.into()), "{found}");
    assert!(found["refused"].as_str().is_some_and(|text| text.contains("1 Mb/s")), "{found}");
    assert!(changes >= Some(5), "{changes:?}");
}
