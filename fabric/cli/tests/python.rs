//! Records and schemas in Python, as users of notebooks have them: Polars and jsonschema from PyPI. Skipped, with the reason, where
//! they cannot be installed.

mod place;

use std::path::{Path, PathBuf};
use std::process::Command;

use place::{Place, SMALL};

/// A Python with the packages, installed on first use.
fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let python = folder.join("bin/python");
    let has_packages = |python: &Path| {
        let imports =
            Command::new(python).args(["-c", "import polars, jsonschema, tomllib"]).output();
        imports.is_ok_and(|output| output.status.success())
    };
    if !has_packages(&python) {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).output().ok()?;
        made.status.success().then_some(())?;
        let arguments = ["-m", "pip", "install", "--quiet", "polars", "jsonschema"];
        let installed = Command::new(&python).args(arguments).output().ok()?;
        installed.status.success().then_some(())?;
    }
    has_packages(&python).then_some(python)
}

fn run(script: &str, folder: &Path) {
    let Some(python) = python() else {
        eprintln!("SKIP: Python with polars and jsonschema from PyPI is not here");
        return;
    };
    let output =
        Command::new(python).current_dir(folder).args(["-c", script]).output().expect("Python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Polars opens every table, with the types and figures that the summary has.
#[test]
fn polars_opens_every_table() {
    let place = Place::new("polars");
    place.file("small.toml", SMALL);
    assert!(place.ultraloom(&["run", "small.toml", "--out", "o"]).status.success());
    let script = r#"
import glob, json, polars
tables = {path: polars.read_parquet(path) for path in glob.glob("o/*.parquet")}
assert len(tables) == 11, sorted(tables)
summary = json.load(open("o/summary.json"))
flows = tables["o/flows.parquet"]
for variant in summary["variants"]:
    own = flows.filter(polars.col("variant") == variant["name"])
    assert own.height == variant["flows"]
    assert abs(own["fct_ps"].max() / 1e6 - variant["fct_us"]["max"]) < 1e-6
    hosts = tables["o/hosts.parquet"].filter(polars.col("variant") == variant["name"])
    assert hosts["new"].sum() == variant["packets"]["new"]
samples, ports = tables["o/port_samples.parquet"], tables["o/ports.parquet"]
assert samples["bytes"].sum() == ports["bytes"].sum(), "samples add up to counters"
assert 0 < samples["utilisation"].max() <= 1.0001
"#;
    run(script, &place.0);
}

/// The JSON Schema is a right one, every scenario that ships suits it, and a wrong key at the top does not.
#[test]
fn scenarios_suit_their_schema() {
    let place = Place::new("jsonschema");
    let schema = place.ultraloom(&["schema", "--scenario"]).stdout;
    place.file("schema.json", &String::from_utf8(schema).expect("text"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../topologies/scenarios");
    let script = format!(
        r#"
import glob, json, jsonschema, tomllib
schema = json.load(open("schema.json"))
jsonschema.Draft7Validator.check_schema(schema)
check = jsonschema.Draft7Validator(schema)
files = glob.glob("{}/*.toml")
assert len(files) > 30
for file in files:
    errors = [error.message for error in check.iter_errors(tomllib.load(open(file, "rb")))]
    assert not errors, (file, errors)
assert list(check.iter_errors(dict(topologie=dict())))
assert list(check.iter_errors(dict(topology="fat-tree")))
"#,
        folder.display()
    );
    run(&script, &place.0);
}
