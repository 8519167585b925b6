//! The runs of a sweep in one table, with means and confidence intervals over seeds, and lines over its axes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::metrics::METRICS;
use crate::plots::lines::{Axis, Chart, Line, Point};
use crate::records::table::{Column, Table};
use crate::summary::{Figures, RunSummary};

/// A run of a sweep.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SweepRun {
    /// What was set, by axis, in the order of the sweep; the seed is not among it.
    pub settings: Vec<(String, String)>,
    /// What it gave.
    pub summary: RunSummary,
}

/// One workload of one variant of one run.
struct Row<'a> {
    run: &'a SweepRun,
    variant: &'a str,
    workload: &'a str,
    figures: &'a Figures,
}

fn rows(runs: &[SweepRun]) -> impl Iterator<Item = Row<'_>> {
    runs.iter().flat_map(|run| {
        run.summary.variants.iter().flat_map(move |variant| {
            variant.workloads.iter().map(move |workload| Row {
                run,
                variant: &variant.name,
                workload: &workload.name,
                figures: &workload.figures,
            })
        })
    })
}

fn axes(runs: &[SweepRun]) -> Vec<String> {
    runs.first().map_or_else(Vec::new, |run| run.settings.iter().map(|s| s.0.clone()).collect())
}

/// A row for every workload of every variant of every run.
pub fn runs_table(runs: &[SweepRun]) -> Table {
    let mut columns = Vec::new();
    for (place, axis) in axes(runs).into_iter().enumerate() {
        let values = rows(runs).map(move |row| row.run.settings[place].1.clone());
        columns.push(Column::named(axis, "what the run sets this key to", values));
    }
    columns.extend([
        Column::numbers("seed", "", "its seed", rows(runs).map(|row| row.run.summary.seed)),
        Column::text("variant", "variant of the scenario", rows(runs).map(|r| r.variant.into())),
        Column::text("workload", "workload of the variant", rows(runs).map(|r| r.workload.into())),
    ]);
    for metric in METRICS {
        let values = rows(runs).map(move |row| metric.of(row.figures));
        columns.push(Column::reals(metric.name, metric.unit, metric.meaning, values));
    }
    let digests = rows(runs).map(|row| row.figures.digest.clone());
    columns.push(Column::text("digest", "128-bit witness of deliveries and drops", digests));
    let title = "a row for every run of the sweep and workload of each variant";
    Table::new("runs", title, columns)
}

/// A figure over seeds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Estimate {
    /// Mean.
    pub mean: f64,
    /// Half the width of the 95 % confidence interval of the mean, by Student's t; 0 for a single seed.
    pub half_width: f64,
}

impl Estimate {
    /// Of some values; `None` if there are none.
    pub fn of(values: &[f64]) -> Option<Estimate> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let half_width = match values.len() {
            0 => return None,
            1 => 0.0,
            _ => {
                let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
                let error = (squares / (count - 1.0) / count).sqrt();
                let t = StudentsT::new(0.0, 1.0, count - 1.0).expect("degrees of freedom");
                t.inverse_cdf(0.975) * error
            }
        };
        Some(Estimate { mean, half_width })
    }
}

/// What is told apart when seeds are put together: settings, variant, workload.
type Cell = (Vec<(String, String)>, String, String);

/// Runs that differ by their seed only, put together, in the order of the sweep.
struct Cells {
    order: Vec<Cell>,
    /// Of each cell the values of each figure.
    values: Vec<Vec<Vec<f64>>>,
}

fn cells(runs: &[SweepRun]) -> Cells {
    let mut known: BTreeMap<Cell, usize> = BTreeMap::new();
    let mut cells = Cells { order: Vec::new(), values: Vec::new() };
    for row in rows(runs) {
        let cell = (row.run.settings.clone(), row.variant.to_owned(), row.workload.to_owned());
        let place = *known.entry(cell.clone()).or_insert_with(|| {
            cells.order.push(cell);
            cells.values.push(vec![Vec::new(); METRICS.len()]);
            cells.order.len() - 1
        });
        for (metric, values) in METRICS.iter().zip(&mut cells.values[place]) {
            values.extend(metric.of(row.figures));
        }
    }
    cells
}

/// A row for every setting, variant and workload: means over seeds with the half-width of their 95 % intervals.
pub fn table(runs: &[SweepRun]) -> Table {
    let Cells { order, values } = cells(runs);
    let mut columns = Vec::new();
    for (place, axis) in axes(runs).into_iter().enumerate() {
        let of = order.iter().map(move |cell| cell.0[place].1.clone());
        columns.push(Column::named(axis, "what the runs set this key to", of));
    }
    columns.extend([
        Column::text("variant", "variant of the scenario", order.iter().map(|c| c.1.clone())),
        Column::text("workload", "workload of the variant", order.iter().map(|c| c.2.clone())),
        Column::numbers("seeds", "", "runs put together", values.iter().map(|v| v[0].len() as u64)),
    ]);
    for (place, metric) in METRICS.iter().enumerate() {
        let estimates: Vec<_> = values.iter().map(|v| Estimate::of(&v[place])).collect();
        let mean = estimates.iter().map(|estimate| estimate.map(|e| e.mean));
        columns.push(Column::reals(metric.name, metric.unit, metric.meaning, mean));
        let half = estimates.iter().map(|estimate| estimate.map(|e| e.half_width));
        let name = format!("{}_ci95", metric.name);
        let meaning = "half the width of its 95 % confidence interval; 0 for a single seed";
        columns.push(Column::named_reals(name, metric.unit, meaning, half));
    }
    Table::new("sweep", "a row for every setting, variant and workload: means over seeds", columns)
}

/// A text table of the same: the figures that say most of each workload.
pub fn text(runs: &[SweepRun]) -> String {
    let (heads, rows) = rows_of_text(runs);
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    crate::columns_of_text::aligned(&heads, rows)
}

/// Its heads and rows.
pub fn rows_of_text(runs: &[SweepRun]) -> (Vec<String>, Vec<Vec<String>>) {
    let Cells { order, values } = cells(runs);
    let names = axes(runs);
    let chosen = chosen(&values);
    let mut heads: Vec<String> = names.clone();
    heads.extend(["variant".to_owned(), "workload".to_owned()]);
    heads.extend(chosen.iter().map(|place| METRICS[*place].name.to_owned()));
    let rows = order.iter().zip(&values).map(|((settings, variant, workload), values)| {
        let mut cells: Vec<String> = settings.iter().map(|(_, value)| value.clone()).collect();
        cells.extend([variant.clone(), workload.clone()]);
        cells.extend(chosen.iter().map(|place| match Estimate::of(&values[*place]) {
            Some(Estimate { mean, half_width: 0.0 }) => format!("{mean:.2}"),
            Some(Estimate { mean, half_width }) => format!("{mean:.2} ± {half_width:.2}"),
            None => "–".to_owned(),
        }));
        cells
    });
    (heads, rows.collect())
}

/// Figures that are looked at first: of collectives their time and bandwidth, of others completion times and goodput.
fn chosen(values: &[Vec<Vec<f64>>]) -> Vec<usize> {
    let place = |name: &str| METRICS.iter().position(|metric| metric.name == name);
    let collective =
        place("collective_us").is_some_and(|p| values.iter().any(|v| !v[p].is_empty()));
    let names: &[&str] = match collective {
        true => &["collective_us", "bus_bandwidth_gbps", "fct_p99_us"],
        false => &["fct_mean_us", "fct_p99_us", "slowdown_p99", "goodput_gbps"],
    };
    names.iter().filter_map(|name| place(name)).collect()
}

/// What the value of a setting is as a number; sizes and rates in their least unit.
fn as_number(text: &str) -> Option<f64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    fabric::units::parse_bytes(text).map(|bytes| bytes as f64).ok()
}

/// Charts over each axis that has several values: a line for each variant, workload and setting of all other axes; a chart for
/// each figure that says most.
pub fn charts(name: &str, runs: &[SweepRun]) -> Vec<Chart> {
    let Cells { order, values } = cells(runs);
    let names = axes(runs);
    let mut charts = Vec::new();
    for (axis, label) in names.iter().enumerate() {
        let mut words: Vec<String> = Vec::new();
        for (settings, ..) in &order {
            if !words.contains(&settings[axis].1) {
                words.push(settings[axis].1.clone());
            }
        }
        if words.len() < 2 {
            continue;
        }
        let is_number = words.iter().all(|word| as_number(word).is_some());
        let is_size = is_number && words.iter().any(|word| word.parse::<f64>().is_err());
        let at = |word: &str| match is_number {
            true => as_number(word).unwrap_or_default(),
            false => words.iter().position(|known| known == word).unwrap_or(0) as f64,
        };
        for place in chosen(&values) {
            let mut lines: Vec<Line> = Vec::new();
            for ((settings, variant, workload), values) in order.iter().zip(&values) {
                let Some(estimate) = Estimate::of(&values[place]) else { continue };
                let name = line_name(settings, axis, variant, workload, &order);
                let x = at(&settings[axis].1);
                let point = Point { x, y: estimate.mean, spread: estimate.half_width };
                match lines.iter_mut().find(|line| line.name == name) {
                    Some(line) => line.points.push(point),
                    None => lines.push(Line { name, points: vec![point] }),
                }
            }
            lines.iter_mut().for_each(|line| line.points.sort_by(|a, b| a.x.total_cmp(&b.x)));
            let metric = METRICS[place];
            let words = if is_number { Vec::new() } else { words.clone() };
            let unit = if metric.unit.is_empty() { "" } else { ", " };
            charts.push(Chart {
                title: format!("{name}: {} by {label}", metric.meaning),
                x: Axis { label: label.clone(), words, bytes: is_size, logarithmic: is_number },
                y: Axis {
                    label: format!("{}{unit}{}", metric.name, metric.unit),
                    ..Axis::default()
                },
                lines,
                marks: true,
                from_zero: false,
            });
        }
    }
    charts
}

/// What tells a line from the others of its chart.
fn line_name(
    settings: &[(String, String)],
    axis: usize,
    variant: &str,
    workload: &str,
    all: &[Cell],
) -> String {
    let mut parts = vec![variant.to_owned()];
    if all.iter().any(|cell| cell.2 != workload) {
        parts.push(workload.to_owned());
    }
    for (place, (key, value)) in settings.iter().enumerate() {
        let varies = all.iter().any(|cell| cell.0[place].1 != *value);
        if place != axis && varies {
            let short = key.rsplit('.').next().unwrap_or(key);
            parts.push(format!("{short} {value}"));
        }
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::table::Format;
    use crate::summary::{Context, VariantSummary, WorkloadSummary};

    fn run(hosts: &str, seed: u64, micros: u64) -> SweepRun {
        let record = crate::summary::tests::record(&[Some(micros)]);
        let figures = Figures::of(&record, &Context { messages: 1, ..Context::default() });
        let workload = WorkloadSummary { name: "incast".into(), figures: figures.clone() };
        let variant = VariantSummary {
            name: "uec".into(),
            clock_dilation: 1,
            figures,
            workloads: vec![workload],
        };
        let (name, version) = ("n".into(), "0".into());
        let summary =
            RunSummary { name, seed, version, variants: vec![variant], claims: Vec::new() };
        SweepRun { settings: vec![("topology.hosts".into(), hosts.into())], summary }
    }

    fn runs() -> Vec<SweepRun> {
        vec![run("16", 1, 10), run("16", 2, 14), run("64", 1, 20), run("64", 2, 20)]
    }

    /// The interval of two values 10 and 14: the mean is 12, the standard error 2, t for one degree of freedom 12.706.
    #[test]
    fn intervals_are_students() {
        let estimate = Estimate::of(&[10.0, 14.0]).unwrap();
        assert_eq!(estimate.mean, 12.0);
        assert!((estimate.half_width - 12.7062 * 2.0).abs() < 1e-3, "{}", estimate.half_width);
        assert_eq!(Estimate::of(&[3.0]), Some(Estimate { mean: 3.0, half_width: 0.0 }));
        assert_eq!(Estimate::of(&[]), None);
    }

    /// Seeds are put together in one table and stand for themselves in the other.
    #[test]
    fn seeds_are_put_together() {
        let csv = |table: Table| String::from_utf8(table.encode(Format::Csv)).unwrap();
        let single = csv(runs_table(&runs()));
        assert_eq!(single.lines().count(), 5);
        assert!(single.starts_with("topology.hosts,seed,variant,workload,completed,"), "{single}");
        let means = csv(table(&runs()));
        let lines: Vec<&str> = means.lines().collect();
        assert!(lines.len() == 3 && lines[1].starts_with("16,uec,incast,2,1.0,0.0,"), "{means}");
        let text = text(&runs());
        assert!(text.contains("12.00 ± 25.41") && text.contains("20.00"), "{text}");
    }

    /// Over an axis of numbers a line goes from left to right; one with a single value has no chart.
    #[test]
    fn axes_become_charts() {
        let charts = charts("n", &runs());
        assert_eq!(charts.len(), 4);
        let line = &charts[0].lines[0];
        assert_eq!((line.name.as_str(), line.points[0].x, line.points[1].x), ("uec", 16.0, 64.0));
        assert!(line.points[0].spread > 25.0 && line.points[1].spread == 0.0);
        assert!(super::charts("n", &runs()[..2]).is_empty());
    }
}
