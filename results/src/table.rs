//! Variants side by side, for people.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use crate::programs::StepFigures;
use crate::summary::{CollectiveFigures, Figures, JobFigures, ProgramFigures, RunSummary};

/// A row: its label, its value if the run has one, and whether a ratio to the first variant makes sense.
struct Row {
    label: &'static str,
    value: fn(&Figures) -> Option<f64>,
    decimals: usize,
}

fn of_collective(figures: &Figures, value: fn(&CollectiveFigures) -> f64) -> Option<f64> {
    figures.collective.as_ref().map(value)
}

/// Of programs that compute; others have nothing to tell that their messages do not.
fn of_program(figures: &Figures, value: fn(&ProgramFigures) -> f64) -> Option<f64> {
    figures.program.as_ref().filter(|program| program.compute_us > 0.0).map(value)
}

const ROWS: [Row; 27] = [
    Row { label: "collective time, us", value: |f| of_collective(f, |c| c.time_us), decimals: 1 },
    Row {
        label: "algorithm bandwidth, Gb/s",
        value: |f| of_collective(f, |c| c.algorithm_bandwidth_gbps),
        decimals: 1,
    },
    Row {
        label: "bus bandwidth, Gb/s",
        value: |f| of_collective(f, |c| c.bus_bandwidth_gbps),
        decimals: 1,
    },
    Row { label: "program time, us", value: |f| of_program(f, |p| p.time_us), decimals: 1 },
    Row { label: "  computing", value: |f| of_program(f, |p| p.compute_us), decimals: 1 },
    Row {
        label: "  exposed communication",
        value: |f| of_program(f, |p| p.exposed_us),
        decimals: 1,
    },
    Row { label: "  hidden communication", value: |f| of_program(f, |p| p.hidden_us), decimals: 1 },
    Row {
        label: "model FLOPs utilisation, %",
        value: |f| f.program.as_ref()?.model_flops_utilisation.map(|share| share * 100.0),
        decimals: 1,
    },
    Row { label: "flows completed", value: |f| Some(f.completed as f64), decimals: 0 },
    Row { label: "completion min, us", value: |f| Some(f.fct_us.min), decimals: 1 },
    Row { label: "completion mean, us", value: |f| Some(f.fct_us.mean), decimals: 1 },
    Row { label: "completion p50, us", value: |f| Some(f.fct_us.p50), decimals: 1 },
    Row { label: "completion p99, us", value: |f| Some(f.fct_us.p99), decimals: 1 },
    Row { label: "completion max, us", value: |f| Some(f.fct_us.max), decimals: 1 },
    Row { label: "slowdown p50", value: |f| Some(f.slowdown.p50), decimals: 2 },
    Row { label: "slowdown p99", value: |f| Some(f.slowdown.p99), decimals: 2 },
    Row { label: "slowdown p99.9", value: |f| Some(f.slowdown.p999), decimals: 2 },
    Row { label: "fairness (Jain)", value: |f| Some(f.fairness), decimals: 3 },
    Row { label: "makespan, us", value: |f| Some(f.makespan_us), decimals: 1 },
    Row { label: "goodput, Gb/s", value: |f| Some(f.goodput_gbps), decimals: 1 },
    Row { label: "data packets", value: |f| Some(f.packets.new as f64), decimals: 0 },
    Row { label: "retransmissions", value: |f| Some(f.packets.retransmitted as f64), decimals: 0 },
    Row { label: "trims", value: |f| Some(f.packets.trimmed as f64), decimals: 0 },
    Row { label: "drops", value: |f| Some(f.packets.dropped as f64), decimals: 0 },
    Row { label: "ECN marks", value: |f| Some(f.packets.ecn_marked as f64), decimals: 0 },
    Row { label: "PFC pauses", value: |f| Some(f.packets.pauses as f64), decimals: 0 },
    Row { label: "CNPs", value: |f| Some(f.packets.cnps as f64), decimals: 0 },
];

/// The tables of a run, one a workload.
pub fn table(summary: &RunSummary) -> String {
    let mut text = String::new();
    let workloads = summary.variants.first().map_or(0, |variant| variant.workloads.len());
    for place in 0..workloads {
        let figures: Vec<(&str, &Figures)> = summary
            .variants
            .iter()
            .filter_map(|variant| {
                variant.workloads.get(place).map(|w| (variant.name.as_str(), &w.figures))
            })
            .collect();
        let name = &summary.variants[0].workloads[place].name;
        text += &format!("{} — {name}\n", summary.name);
        text += &one(&figures);
        text.push('\n');
    }
    text
}

fn one(figures: &[(&str, &Figures)]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    let mut header = vec![String::new()];
    for (place, (name, _)) in figures.iter().enumerate() {
        header.push((*name).to_owned());
        if place > 0 {
            header.push(format!("/ {}", figures[0].0));
        }
    }
    table.set_header(header);
    let all: Vec<&Figures> = figures.iter().map(|(_, figures)| *figures).collect();
    let usual = ROWS.iter().map(|row| {
        let values = all.iter().map(|figures| (row.value)(figures)).collect();
        (row.label.to_owned(), values, row.decimals)
    });
    for (label, values, decimals) in usual.chain(steps(&all)).chain(jobs(&all)) {
        if values.iter().all(|value| value.is_none()) {
            continue;
        }
        let mut cells = vec![label];
        for (place, value) in values.iter().enumerate() {
            cells.push(value.map_or("–".to_owned(), |value| grouped(value, decimals)));
            if place > 0 {
                cells.push(ratio(*value, values[0]));
            }
        }
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string().lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// A row's label, its value for each variant, and decimals.
type Cells = (String, Vec<Option<f64>>, usize);

/// How long requests of services took: programs that tell of nothing else.
fn steps(figures: &[&Figures]) -> Vec<Cells> {
    let services = |figures: &&Figures| {
        figures.program.clone().filter(|program| program.compute_us + program.exposed_us == 0.0)
    };
    let programs: Vec<Option<ProgramFigures>> = figures.iter().map(services).collect();
    let Some(first) = programs.iter().flatten().next() else { return Vec::new() };
    let mut rows = Vec::new();
    for name in first.steps.iter().map(|step| step.name.as_str()) {
        let value = |value: fn(&StepFigures) -> f64| -> Vec<Option<f64>> {
            let of = |program: &Option<ProgramFigures>| {
                program.as_ref()?.steps.iter().find(|step| step.name == name).map(value)
            };
            programs.iter().map(of).collect()
        };
        rows.push((format!("{name}, a second"), value(|step| step.rate_per_s), 1));
        // Some are only counted.
        if value(|step| step.max_us).iter().flatten().all(|longest| *longest == 0.0) {
            continue;
        }
        rows.push((format!("{name} p50, us"), value(|step| step.p50_us), 1));
        rows.push((format!("{name} p99, us"), value(|step| step.p99_us), 1));
    }
    rows
}

/// How long jobs took, and what those that are flows saw.
fn jobs(figures: &[&Figures]) -> Vec<Cells> {
    let Some(first) = figures.first() else { return Vec::new() };
    let mut rows = Vec::new();
    for name in first.jobs.iter().map(|job| job.name.as_str()) {
        let value = |value: fn(&JobFigures) -> Option<f64>| -> Vec<Option<f64>> {
            let of = |figures: &&Figures| {
                figures.jobs.iter().find(|job| job.name == name).and_then(value)
            };
            figures.iter().map(of).collect()
        };
        rows.push((format!("{name}: time, us"), value(|job| Some(job.makespan_us)), 1));
        let bus = value(|job| job.collective.as_ref().map(|c| c.bus_bandwidth_gbps));
        rows.push((format!("{name}: bus bandwidth, Gb/s"), bus, 1));
        rows.push((format!("{name}: slowdown p99"), value(|job| Some(job.slowdown.p99)), 2));
    }
    rows
}

/// `value` over `first`, where that is a number.
fn ratio(value: Option<f64>, first: Option<f64>) -> String {
    match (value, first) {
        (Some(value), Some(first)) if first > 0.0 => format!("{:.2}×", value / first),
        _ => String::new(),
    }
}

/// A number with its thousands set apart.
fn grouped(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::record;
    use crate::summary::{Context, VariantSummary, WorkloadSummary};

    /// Two variants stand side by side, the second with its ratio to the first.
    #[test]
    fn variants_stand_side_by_side() {
        let variant = |name: &str, time| {
            let context = Context { messages: 1, ..Context::default() };
            let figures = Figures::of(&record(&[Some(time)]), &context);
            let workload = WorkloadSummary { name: "permutation".into(), figures: figures.clone() };
            VariantSummary {
                name: name.into(),
                clock_dilation: 1,
                figures,
                workloads: vec![workload],
            }
        };
        let variants = vec![variant("uec", 1_000), variant("roce", 2_500)];
        let (name, version) = ("demo".into(), "0".into());
        let summary = RunSummary { name, seed: 1, version, variants, claims: Vec::new() };
        let text = table(&summary);
        assert!(text.starts_with("demo — permutation\n"), "{text}");
        let line = text.lines().find(|line| line.contains("completion p99")).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[words.len() - 3..], ["1,000.0", "2,500.0", "2.50×"]);
        assert!(!text.contains("collective time"), "no row without a value");
        assert!(text.lines().all(|line| line.chars().count() <= 100));
    }

    /// Thousands are set apart.
    #[test]
    fn thousands_are_grouped() {
        assert_eq!(grouped(1_234_567.0, 0), "1,234,567");
        assert_eq!(grouped(999.96, 1), "1,000.0");
        assert_eq!(grouped(12.0, 1), "12.0");
    }
}
