//! The table of the specification's rules (`tests/spec`) and what shows them stay together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file below `folder` with this extension; build folders left out.
fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the project") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|own| own == extension) {
            found.push(path);
        }
    }
}

/// The names of all test functions, and the marks `spec: ID` in comments.
fn code() -> (BTreeSet<String>, BTreeMap<String, PathBuf>) {
    let (mut sources, mut tests, mut marks) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
    files(&root(), "rs", &mut sources);
    for path in sources {
        let text = fs::read_to_string(&path).expect("a source file");
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (place, line) in lines.iter().enumerate() {
            if let Some(name) = line.strip_prefix("fn ").and_then(|rest| rest.split('(').next())
                && lines[..place].iter().rev().take(3).any(|before| *before == "#[test]")
            {
                tests.insert(name.to_owned());
            }
            if let Some(id) = line.strip_prefix("// spec: ") {
                marks.insert(id.trim().to_owned(), path.clone());
            }
        }
    }
    (tests, marks)
}

/// Every rule stands once, with a test that exists or a reason why it has none; every mark in the code
/// names a rule.
#[test]
fn no_rule_dangles() {
    let (tests, marks) = code();
    let mut tables = Vec::new();
    files(&root().join("tests/spec"), "toml", &mut tables);
    let mut ids = BTreeSet::new();
    let (mut done, mut open) = (0, 0);
    for path in tables {
        let text = fs::read_to_string(&path).expect("a table");
        let table: Value = toml::from_str(&text).expect("TOML");
        for rule in table["rule"].as_array().expect("rules") {
            let field = |name: &str| rule.get(name).and_then(Value::as_str);
            let id = field("id").expect("an id").to_owned();
            assert!(ids.insert(id.clone()), "{id} stands twice");
            assert!(
                field("rule").is_some_and(|rule| rule.contains('§') || rule.ends_with('.')),
                "{id}"
            );
            let level = field("level").unwrap_or_default();
            assert!(["must", "should", "may", "model"].contains(&level), "{id}: level {level}");
            match (field("status"), field("test"), field("reason")) {
                (Some("done"), Some(test), None) => {
                    assert!(tests.contains(test), "{id}: there is no test {test}");
                    done += 1;
                }
                (Some("todo" | "exception"), None, Some(reason)) => {
                    assert!(reason.len() > 10, "{id}: no reason");
                    open += 1;
                }
                other => panic!("{id}: {other:?}"),
            }
        }
    }
    for (mark, path) in &marks {
        assert!(ids.contains(mark), "{} marks {mark}, which no table has", path.display());
    }
    assert!(!marks.is_empty(), "the code marks no rule");
    println!("{done} rules shown, {open} open");
}
