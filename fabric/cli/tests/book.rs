//! The book: every command and scenario in it runs as it stands there, and its records are those of the program.

mod place;

use std::path::{Path, PathBuf};
use std::process::Command;

use place::{Place, SMALL};

fn book() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src")
}

fn page(name: &str) -> String {
    std::fs::read_to_string(book().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The blocks of a language in a page.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    let parts = page.split(opening.as_str()).skip(1);
    parts.map(|part| part.split("```").next().unwrap_or("")).collect()
}

/// The pages of the book.
fn pages() -> Vec<String> {
    let summary = page("SUMMARY.md");
    let links = summary.split('(').skip(1).filter_map(|part| part.split(')').next());
    links.map(str::to_owned).collect()
}

/// Runs a page's commands one after the other in a folder of its own.
fn run(name: &str) -> usize {
    let place = Place::new(&format!("book-{name}"));
    let folder = Path::new(env!("CARGO_BIN_EXE_ultraloom")).parent().expect("a folder");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let text = page(name);
    let commands: Vec<&str> = blocks(&text, "sh")
        .into_iter()
        .flat_map(str::lines)
        .filter(|line| !line.is_empty())
        .collect();
    for command in &commands {
        let mut shell = Command::new("bash");
        let output = shell.current_dir(&place.0).env("PATH", &path).args(["-c", command]).output();
        let output = output.expect("bash");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{name}: {command}: {told}");
    }
    commands.len()
}

/// Every command of the book succeeds, page by page.
#[test]
fn every_command_runs() {
    let commands: usize = pages().iter().map(|page| run(page)).sum();
    assert!(commands > 20, "{commands} commands");
}

/// Every part of a scenario in the book is one, and its claims hold.
#[test]
fn every_scenario_runs() {
    let place = Place::new("book-scenarios");
    let mut count = 0;
    for name in pages() {
        for block in blocks(&page(&name), "toml") {
            place.file("part.toml", &format!("{SMALL}{block}"));
            let output = place.ultraloom(&["run", "part.toml", "--out", &format!("out{count}")]);
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            count += 1;
        }
    }
    assert!(count > 0);
}

/// The page of records is what the program prints; after a change: `ultraloom schema --output markdown`.
#[test]
fn records_are_those_of_the_program() {
    let place = Place::new("book-records");
    let printed = place.ultraloom(&["schema", "--output", "markdown"]).stdout;
    let printed = String::from_utf8(printed).expect("text");
    assert!(
        page("records.md").ends_with(&printed),
        "docs/src/records.md is not what `ultraloom schema` prints"
    );
}

/// mdBook makes the book, with every page and every key; skipped where mdBook is not installed.
#[test]
fn the_book_is_made() {
    let place = Place::new("book-made");
    let root = book().join("..");
    let made = Command::new("mdbook").arg("build").arg(&root).arg("-d").arg(&place.0).output();
    let Ok(made) = made else {
        eprintln!("SKIP: mdBook is not installed (cargo install mdbook)");
        return;
    };
    let told = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success() && !told.contains("WARN") && !told.contains("ERROR"), "{told}");
    for name in pages() {
        let path = place.0.join(name).with_extension("html");
        let html = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        assert!(html.len() > 5_000, "{path:?}");
    }
    let keys = std::fs::read_to_string(place.0.join("scenario.html")).expect("a page");
    assert!(keys.contains("hpcc_max_stage"), "the keys are included");
}

/// Pages that the summary names are there, and none is left out.
#[test]
fn the_summary_names_every_page() {
    let mut named = pages();
    named.push("SUMMARY.md".to_owned());
    named.sort();
    let entries = std::fs::read_dir(book()).expect("the book").flatten();
    let mut there: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    there.sort();
    assert_eq!(named, there);
}
