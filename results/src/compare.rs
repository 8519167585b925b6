//! Two runs side by side: what became worse by more than it may, what became better, what is missing.
//!
//! Figures are compared workload by workload of each variant. Those that only say how (packets trimmed, marked, paused) count when a
//! tolerance is given for them by name.

use serde::Serialize;

use crate::metrics::{Better, METRICS, Metric};
use crate::summary::{Figures, RunSummary};

/// By how much figures may become worse.
#[derive(Clone, PartialEq, Debug)]
pub struct Tolerances {
    /// Share of the old value, of figures that are not named.
    pub all: f64,
    /// Shares by name.
    pub named: Vec<(String, f64)>,
}

impl Tolerances {
    fn of(&self, metric: &Metric) -> Option<f64> {
        let named = self.named.iter().find(|(name, _)| name == metric.name);
        match (named, metric.better) {
            (Some((_, share)), _) => Some(*share),
            (None, Better::Neither) => None,
            (None, _) => Some(self.all),
        }
    }
}

/// What became of a figure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Within the tolerance.
    Same,
    /// Better by more than that.
    Better,
    /// Worse by more than that.
    Worse,
    /// It is not in the new run.
    Missing,
    /// It was not in the old run.
    New,
}

/// A figure of a workload of a variant in both runs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// Variant.
    pub variant: String,
    /// Workload.
    pub workload: String,
    /// Its name; `all` where the whole workload is missing or new.
    pub metric: &'static str,
    /// Unit.
    pub unit: &'static str,
    /// In the old run.
    pub old: Option<f64>,
    /// In the new run.
    pub new: Option<f64>,
    /// Difference over the old value; missing where that is 0.
    pub difference: Option<f64>,
    /// Share by which it may be worse.
    pub tolerance: f64,
    /// What became of it.
    pub change: Change,
}

impl Row {
    /// Whether it makes the comparison fail.
    pub fn fails(&self) -> bool {
        matches!(self.change, Change::Worse | Change::Missing)
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let number = |value: Option<f64>| value.map_or("nothing".to_owned(), |v| format!("{v:.3}"));
        let change = match self.change {
            Change::Same => "same",
            Change::Better => "better",
            Change::Worse => "WORSE",
            Change::Missing => "MISSING",
            Change::New => "new",
        };
        let (variant, workload, metric) = (&self.variant, &self.workload, self.metric);
        let difference =
            self.difference.map_or(String::new(), |d| format!(" ({:+.2} %)", d * 100.0));
        let (old, new) = (number(self.old), number(self.new));
        format!("{change}: {variant}, {workload}: {metric}: {old} -> {new}{difference}")
    }
}

/// Both runs, compared.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Comparison {
    /// Name of the new run.
    pub name: String,
    /// Whether all deliveries and drops are the same.
    pub same_digests: bool,
    /// Figures.
    pub rows: Vec<Row>,
    /// Whether nothing became worse or is missing.
    pub passes: bool,
}

/// The workloads of a run, each with its figures.
fn workloads(summary: &RunSummary) -> impl Iterator<Item = (&str, &str, &Figures)> {
    summary.variants.iter().flat_map(|variant| {
        let each = variant.workloads.iter();
        each.map(|one| (variant.name.as_str(), one.name.as_str(), &one.figures))
    })
}

fn find<'a>(summary: &'a RunSummary, variant: &str, workload: &str) -> Option<&'a Figures> {
    let mut all = workloads(summary);
    all.find(|(v, w, _)| *v == variant && *w == workload).map(|(.., figures)| figures)
}

/// Compares a new run with an old one.
pub fn compare(old: &RunSummary, new: &RunSummary, tolerances: &Tolerances) -> Comparison {
    let mut rows = Vec::new();
    let mut same_digests = true;
    let whole = |variant: &str, workload: &str, change| Row {
        variant: variant.to_owned(),
        workload: workload.to_owned(),
        metric: "all",
        unit: "",
        old: None,
        new: None,
        difference: None,
        tolerance: 0.0,
        change,
    };
    for (variant, workload, was) in workloads(old) {
        let Some(is) = find(new, variant, workload) else {
            same_digests = false;
            rows.push(whole(variant, workload, Change::Missing));
            continue;
        };
        same_digests &= was.digest == is.digest;
        for metric in METRICS {
            let (Some(tolerance), (old, new)) =
                (tolerances.of(&metric), (metric.of(was), metric.of(is)))
            else {
                continue;
            };
            if old.is_none() && new.is_none() {
                continue;
            }
            rows.push(Row {
                metric: metric.name,
                unit: metric.unit,
                old,
                new,
                difference: old.zip(new).and_then(|(old, new)| difference(old, new)),
                tolerance,
                change: judge(&metric, old, new, tolerance),
                ..whole(variant, workload, Change::Same)
            });
        }
    }
    for (variant, workload, _) in workloads(new) {
        if find(old, variant, workload).is_none() {
            same_digests = false;
            rows.push(whole(variant, workload, Change::New));
        }
    }
    let passes = !rows.iter().any(Row::fails);
    Comparison { name: new.name.clone(), same_digests, rows, passes }
}

fn difference(old: f64, new: f64) -> Option<f64> {
    (old != 0.0).then(|| new / old - 1.0)
}

fn judge(metric: &Metric, old: Option<f64>, new: Option<f64>, tolerance: f64) -> Change {
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) => (old, new),
        (Some(_), None) => return Change::Missing,
        (None, _) => return Change::New,
    };
    let allowed = old.abs() * tolerance + f64::EPSILON * old.abs().max(new.abs());
    let more = new - old;
    match metric.better {
        _ if more.abs() <= allowed => Change::Same,
        Better::Lower | Better::Neither if more > 0.0 => Change::Worse,
        Better::Higher if more < 0.0 => Change::Worse,
        _ => Change::Better,
    }
}

impl Comparison {
    /// A table for people: what changed, and how much did not.
    pub fn text(&self) -> String {
        let changed: Vec<&Row> =
            self.rows.iter().filter(|row| row.change != Change::Same).collect();
        let same = self.rows.len() - changed.len();
        let digests = if self.same_digests { "the same" } else { "different" };
        let mut text: String = changed.iter().map(|row| row.line() + "\n").collect();
        text += &format!("{}: {same} figures within tolerance; digests {digests}\n", self.name);
        text
    }

    /// The same in Markdown, for a pull request.
    pub fn markdown(&self) -> String {
        let sign = |change| match change {
            Change::Same => "same",
            Change::Better => "better",
            Change::Worse => "**worse**",
            Change::Missing => "**missing**",
            Change::New => "new",
        };
        let number = |value: Option<f64>| value.map_or("–".to_owned(), |v| format!("{v:.3}"));
        let verdict = if self.passes { "no regression" } else { "**regression**" };
        let mut text = format!("### {}: {verdict}\n\n", self.name);
        let changed: Vec<&Row> =
            self.rows.iter().filter(|row| row.change != Change::Same).collect();
        if !changed.is_empty() {
            text += "| variant | workload | figure | before | after | difference | |\n";
            text += "|---|---|---|--:|--:|--:|---|\n";
        }
        for row in &changed {
            let unit = if row.unit.is_empty() { "" } else { ", " };
            text += &format!(
                "| {} | {} | {}{unit}{} | {} | {} | {} | {} |\n",
                row.variant,
                row.workload,
                row.metric,
                row.unit,
                number(row.old),
                number(row.new),
                row.difference.map_or(String::new(), |d| format!("{:+.2} %", d * 100.0)),
                sign(row.change)
            );
        }
        let same = self.rows.len() - changed.len();
        let digests = if self.same_digests { "the same" } else { "different" };
        text + &format!("\n{same} figures are within tolerance; digests are {digests}.\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::{Context, VariantSummary, WorkloadSummary};

    fn run(workload: &str, micros: u64) -> RunSummary {
        let record = crate::summary::tests::record(&[Some(micros)]);
        let figures = Figures::of(&record, &Context { messages: 1, ..Context::default() });
        let workload = WorkloadSummary { name: workload.into(), figures: figures.clone() };
        let (name, version) = ("n".into(), "0".into());
        let workloads = vec![workload];
        let variant = VariantSummary { name: "uec".into(), clock_dilation: 1, figures, workloads };
        RunSummary { name, seed: 1, version, variants: vec![variant], claims: Vec::new() }
    }

    const ONE: f64 = 0.01;

    fn tolerances(named: &[(&str, f64)]) -> Tolerances {
        Tolerances { all: ONE, named: named.iter().map(|(n, s)| ((*n).to_owned(), *s)).collect() }
    }

    fn change(old: u64, new: u64, named: &[(&str, f64)], metric: &str) -> Change {
        let found = compare(&run("w", old), &run("w", new), &tolerances(named));
        found.rows.into_iter().find(|row| row.metric == metric).unwrap().change
    }

    /// Longer times and less goodput are worse, the other way round better, and little is nothing.
    #[test]
    fn each_figure_has_its_direction() {
        assert_eq!(change(1_000, 1_020, &[], "fct_p99_us"), Change::Worse);
        assert_eq!(change(1_000, 980, &[], "fct_p99_us"), Change::Better);
        assert_eq!(change(1_000, 1_009, &[], "fct_p99_us"), Change::Same);
        assert_eq!(change(1_000, 1_020, &[], "goodput_gbps"), Change::Worse);
        assert_eq!(change(1_000, 1_020, &[("fct_p99_us", 0.05)], "fct_p99_us"), Change::Same);
    }

    /// The same run passes with the same digests; a workload that is gone fails, a new one does not.
    #[test]
    fn what_is_missing_fails() {
        let same = compare(&run("w", 5), &run("w", 5), &tolerances(&[]));
        assert!(
            same.passes && same.same_digests && same.rows.iter().all(|r| r.change == Change::Same)
        );
        assert!(!same.rows.iter().any(|row| row.metric == "trimmed"), "it only says how");
        let moved = compare(&run("w", 5), &run("v", 5), &tolerances(&[("trimmed", 0.0)]));
        let changes: Vec<Change> = moved.rows.iter().map(|row| row.change).collect();
        assert_eq!((moved.passes, changes), (false, vec![Change::Missing, Change::New]));
    }

    /// Text and Markdown name what changed, and only that.
    #[test]
    fn changes_are_told() {
        let found = compare(&run("w", 1_000), &run("w", 1_200), &tolerances(&[]));
        let text = found.text();
        assert!(
            text.contains("WORSE: uec, w: fct_p99_us: 1000.000 -> 1200.000 (+20.00 %)"),
            "{text}"
        );
        let markdown = found.markdown();
        assert!(markdown.starts_with("### n: **regression**\n"), "{markdown}");
        assert!(
            markdown.contains(
                "| uec | w | fct_p99_us, us | 1000.000 | 1200.000 | +20.00 % | **worse** |"
            )
        );
        assert!(!markdown.contains("| completed"), "{markdown}");
    }
}
