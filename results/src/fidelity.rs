//! Fidelity: our figures beside a reference's, with bounds and verdicts. Field names are the JSON names:
//! they may grow, never change.

use comfy_table::presets::{ASCII_MARKDOWN, NOTHING};
use comfy_table::{CellAlignment, Table};
use serde::{Deserialize, Serialize};

/// A whole comparison.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Fidelity {
    /// Version of the program.
    pub version: String,
    /// Seeds that each row was run with.
    pub seeds: u64,
    /// Whether every group agrees.
    pub agrees: bool,
    /// Rows that belong together, each with the number that must agree.
    pub groups: Vec<Group>,
}

/// Rows with one origin.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Where the reference's figures come from.
    pub name: String,
    /// Rows that must agree.
    pub needed: u64,
    /// Rows that agree.
    pub agreeing: u64,
    /// Rows that do not, and are explained.
    pub explained: u64,
    /// Whether enough do.
    pub agrees: bool,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A case, rate and set-up.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The traffic.
    pub case: String,
    /// Rate of the hosts' links, Gb/s.
    pub gbps: f64,
    /// Transport, spraying, faults.
    pub setup: String,
    /// Whether all checks agree and there are any.
    pub agrees: bool,
    /// Why it could not be run.
    pub problem: Option<String>,
    /// Why it is known to disagree, with the evidence; it then need not agree.
    pub explained: Option<String>,
    /// What was compared.
    pub checks: Vec<Check>,
}

/// One figure beside the reference's.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Check {
    /// What is compared, with its unit.
    pub compared: String,
    /// Ours: the mean over seeds.
    pub ours: f64,
    /// The least of ours over seeds.
    pub ours_min: f64,
    /// The greatest of ours over seeds.
    pub ours_max: f64,
    /// The reference's: the mean over its seeds.
    pub reference: f64,
    /// The least that agrees.
    pub low: f64,
    /// The greatest that agrees.
    pub high: f64,
    /// Ours over the reference's, less one, in percent; none where the reference is zero.
    pub difference_percent: Option<f64>,
    /// Whether it agrees.
    pub agrees: bool,
}

impl Check {
    /// A figure that agrees when the mean of `ours` lies from `low` to `high`.
    pub fn of_mean(compared: &str, ours: &[f64], reference: f64, (low, high): (f64, f64)) -> Check {
        let mean = ours.iter().sum::<f64>() / ours.len().max(1) as f64;
        Check {
            compared: compared.to_owned(),
            ours: mean,
            ours_min: ours.iter().copied().fold(f64::INFINITY, f64::min),
            ours_max: ours.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            reference,
            low,
            high,
            difference_percent: (reference != 0.0).then(|| (mean / reference - 1.0) * 100.0),
            agrees: (low..=high).contains(&mean),
        }
    }

    /// A figure that agrees when every one of `ours` lies from `low` to `high`.
    pub fn of_each(compared: &str, ours: &[f64], reference: f64, (low, high): (f64, f64)) -> Check {
        let check = Check::of_mean(compared, ours, reference, (low, high));
        Check { agrees: ours.iter().all(|value| (low..=high).contains(value)), ..check }
    }

    /// A figure that agrees when the range of `ours` over seeds reaches into `low` to `high`: what a
    /// single run of a reference can be held to.
    pub fn of_range(
        compared: &str,
        ours: &[f64],
        reference: f64,
        (low, high): (f64, f64),
    ) -> Check {
        let check = Check::of_mean(compared, ours, reference, (low, high));
        Check { agrees: check.ours_min <= high && check.ours_max >= low, ..check }
    }
}

impl Row {
    /// A row with its verdict.
    pub fn new(case: &str, gbps: f64, setup: &str, checks: Result<Vec<Check>, String>) -> Row {
        let (checks, problem) = match checks {
            Ok(checks) => (checks, None),
            Err(problem) => (Vec::new(), Some(problem)),
        };
        let agrees = !checks.is_empty() && checks.iter().all(|check| check.agrees);
        let (case, setup, explained) = (case.to_owned(), setup.to_owned(), None);
        Row { case, gbps, setup, agrees, problem, explained, checks }
    }
}

impl Group {
    /// A group of which at least `needed` rows must agree.
    pub fn new(name: &str, needed: u64, rows: Vec<Row>) -> Group {
        let count = |fits: fn(&Row) -> bool| rows.iter().filter(|row| fits(row)).count() as u64;
        let agreeing = count(|row| row.agrees);
        let explained = count(|row| !row.agrees && row.explained.is_some());
        let agrees = agreeing + explained >= needed;
        Group { name: name.to_owned(), needed, agreeing, explained, agrees, rows }
    }
}

impl Fidelity {
    /// The comparison as JSON.
    ///
    /// # Panics
    /// Never: every field can be written.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a comparison can be written")
    }

    /// A table for people: one line a check.
    pub fn table(&self) -> String {
        self.tables(checks)
    }

    /// In Markdown, one line a row.
    pub fn markdown(&self) -> String {
        self.tables(rows)
    }

    fn tables(&self, one: fn(&Group) -> Table) -> String {
        let table = |group: &Group| {
            let known = match group.explained {
                0 => String::new(),
                count => format!(", {count} that do not are explained"),
            };
            let mut text = format!(
                "{}: {} of {} rows agree{known}; {} must\n\n{}\n",
                group.name,
                group.agreeing,
                group.rows.len(),
                group.needed,
                trimmed(&one(group))
            );
            for row in group.rows.iter().filter(|row| !row.agrees) {
                if let Some(why) = &row.explained {
                    text += &format!("{}, {}: {why}\n", row.case, row.setup);
                }
            }
            text
        };
        self.groups.iter().map(table).collect::<Vec<_>>().join("\n")
    }
}

const HEADER: [&str; 10] = [
    "case",
    "Gb/s",
    "set-up",
    "compared",
    "ours",
    "reference",
    "difference",
    "ours over seeds",
    "agrees from … to",
    "verdict",
];

fn checks(group: &Group) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(HEADER);
    for row in &group.rows {
        for check in &row.checks {
            table.add_row(line(row, check));
        }
        if let Some(problem) = &row.problem {
            let mut cells = vec![row.case.clone(), gbps(row.gbps), row.setup.clone()];
            cells.extend((3..HEADER.len() - 2).map(|_| String::new()));
            cells.extend([problem.clone(), "NOT RUN".to_owned()]);
            table.add_row(cells);
        }
    }
    for column in [1, 4, 5, 6, 7] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn rows(group: &Group) -> Table {
    let mut table = Table::new();
    let header = ["case", "Gb/s", "set-up", "ours / reference (difference)", "verdict"];
    table.load_style(ASCII_MARKDOWN).set_header(header);
    for row in &group.rows {
        let check = |check: &Check| {
            let (ours, reference) = (figure(check.ours), figure(check.reference));
            format!("{} {ours} / {reference} ({})", check.compared, difference(check))
        };
        let checks: Vec<String> = row.checks.iter().map(check).collect();
        let told = row.problem.clone().unwrap_or_else(|| checks.join("; "));
        let (case, setup) = (row.case.clone(), row.setup.clone());
        table.add_row([case, gbps(row.gbps), setup, told, verdict(row).to_owned()]);
    }
    table
}

fn verdict(row: &Row) -> &'static str {
    match (row.agrees, &row.problem, &row.explained) {
        (true, ..) => "agrees",
        (false, Some(_), _) => "NOT RUN",
        (false, None, Some(_)) => "explained",
        (false, None, None) => "DIFFERS",
    }
}

fn difference(check: &Check) -> String {
    let percent = check.difference_percent.map(|percent| format!("{percent:+.2} %"));
    percent.unwrap_or_else(|| "-".to_owned())
}

/// Without blanks at the ends of lines.
fn trimmed(table: &Table) -> String {
    table.to_string().lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn line(row: &Row, check: &Check) -> Vec<String> {
    vec![
        row.case.clone(),
        gbps(row.gbps),
        row.setup.clone(),
        check.compared.clone(),
        figure(check.ours),
        figure(check.reference),
        difference(check),
        format!("{} … {}", figure(check.ours_min), figure(check.ours_max)),
        format!("{} … {}", figure(check.low), figure(check.high)),
        if check.agrees { "agrees" } else { verdict(row) }.to_owned(),
    ]
}

fn gbps(rate: f64) -> String {
    format!("{rate}")
}

/// Six significant digits, as the reference prints them.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 10_000.0 => format!("{value:.0}"),
        size if size >= 1_000.0 => format!("{value:.1}"),
        size if size >= 100.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn fidelity() -> Fidelity {
        let good = Check::of_mean("mean, us", &[99.0, 103.0], 100.0, (98.0, 102.0));
        let bad = Check::of_each("tail, us", &[99.0, 103.0], 100.0, (98.0, 102.0));
        let reaching = Check::of_range("tail, us", &[90.0, 98.5], 100.0, (98.0, 102.0));
        let zero = Check::of_mean("retransmissions", &[3.0], 0.0, (0.0, 30.0));
        let rows = vec![
            Row::new("perm", 400.0, "nscc mixed", Ok(vec![good.clone(), reaching, zero])),
            Row::new("perm", 400.0, "nscc reps", Ok(vec![good, bad])),
            Row::new("perm", 400.0, "none", Err("no such thing".to_owned())),
        ];
        let group = Group::new("recorded runs", 3, rows);
        Fidelity { version: "0".into(), seeds: 2, agrees: false, groups: vec![group] }
    }

    /// A mean agrees where its values need not; a row agrees when all of its checks do; a row that was
    /// not run does not.
    #[test]
    fn verdicts_follow_the_bounds() {
        let group = &fidelity().groups[0];
        assert_eq!(group.rows.iter().map(|r| r.agrees).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!((group.agreeing, group.agrees), (1, false));
        let [mean, tail] = &group.rows[1].checks[..] else { panic!("two") };
        assert!(mean.agrees && !tail.agrees);
        assert!((mean.difference_percent.unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(group.rows[0].checks[2].difference_percent, None);
    }

    /// A row that is explained need not agree, and the reason is told.
    #[test]
    fn explained_rows_need_not_agree() {
        let mut rows = fidelity().groups.remove(0).rows;
        rows.truncate(2);
        rows[1].explained = Some("it is noise".to_owned());
        let group = Group::new("recorded runs", 2, rows);
        assert_eq!((group.agreeing, group.explained, group.agrees), (1, 1, true));
        let fidelity = Fidelity { groups: vec![group], ..fidelity() };
        for text in [fidelity.table(), fidelity.markdown()] {
            assert!(text.contains("1 that do not are explained") && text.contains("it is noise"));
        }
    }

    /// Tables name every row and its verdict; JSON is read back unchanged.
    #[test]
    fn all_forms_say_the_same() {
        let fidelity = fidelity();
        for text in [fidelity.table(), fidelity.markdown()] {
            assert!(text.starts_with("recorded runs: 1 of 3 rows agree; 3 must"), "{text}");
            for part in ["nscc reps", "DIFFERS", "NOT RUN", "no such thing", "+1.00 %", "101.00"] {
                assert!(text.contains(part), "{part} in {text}");
            }
        }
        assert!(fidelity.markdown().contains("|---"));
        assert_eq!(serde_json::from_str::<Fidelity>(&fidelity.to_json()).unwrap(), fidelity);
    }
}
