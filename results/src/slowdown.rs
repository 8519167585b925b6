//! Transports against traffic: slowdowns of all variants under all workloads, as a table and a figure.

use comfy_table::presets::{ASCII_MARKDOWN, NOTHING};
use comfy_table::{CellAlignment, Table, TableStyle};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::plots::style::{DrawError, GREY, font};
use crate::summary::{RunSummary, VariantSummary};

const PANEL: i32 = 270;
/// Between panels.
const GAP: i32 = 56;
const LABELS: i32 = 150;
const TOP: i32 = 92;
const LINE: i32 = 24;
const BELOW: i32 = 44;
/// Median and tails, apart for colour-blind readers and in print (Okabe and Ito).
const MARKS: [(&str, RGBColor); 3] = [
    ("p50", RGBColor(0, 114, 178)),
    ("p99", RGBColor(230, 159, 0)),
    ("p99.9", RGBColor(213, 94, 0)),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Whether a run compares enough for this to say more than the variants side by side.
pub fn is_worth_it(summary: &RunSummary) -> bool {
    summary.variants.len() > 2 && summary.variants[0].workloads.len() > 1
}

fn table(summary: &RunSummary, style: TableStyle) -> String {
    let mut table = Table::new();
    table.load_style(style);
    let mut header = vec!["slowdown p50 / p99 / p99.9".to_owned()];
    header.extend(summary.variants[0].workloads.iter().map(|workload| workload.name.clone()));
    table.set_header(header);
    for variant in &summary.variants {
        let mut cells = vec![variant.name.clone()];
        cells.extend(variant.workloads.iter().map(|workload| {
            let of = &workload.figures.slowdown;
            format!("{:.2} / {:.2} / {:.2}", of.p50, of.p99, of.p999)
        }));
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string().lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// A line a variant, a column a workload, for people.
pub fn text(summary: &RunSummary) -> String {
    table(summary, NOTHING)
}

/// The same as Markdown.
pub fn markdown(summary: &RunSummary) -> String {
    table(summary, ASCII_MARKDOWN)
}

/// The three slowdowns of a variant under a workload; `None` where nothing finished.
fn of(variant: &VariantSummary, workload: usize) -> Option<[f64; 3]> {
    let slowdown = &variant.workloads.get(workload)?.figures.slowdown;
    (slowdown.p50 > 0.0).then_some([slowdown.p50, slowdown.p99, slowdown.p999])
}

/// A panel a workload, a line a variant, a dot for each percentile on a logarithmic axis.
///
/// # Errors
/// What the drawing library reports; nothing a user can cause.
pub fn svg(summary: &RunSummary) -> Result<String, String> {
    let mut text = String::new();
    draw(&mut text, summary).map_err(|error| error.to_string())?;
    Ok(text)
}

fn draw(text: &mut String, summary: &RunSummary) -> Result<(), DrawError> {
    let workloads = &summary.variants[0].workloads;
    let width = LABELS + PANEL * workloads.len() as i32 + 20;
    let height = TOP + LINE * summary.variants.len() as i32 + BELOW;
    let root = SVGBackend::with_string(text, (width as u32, height as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let title = format!("{}: slowdown over an empty fabric (log)", summary.name);
    root.draw_text(&title, &font(18), (20, 14))?;
    for (place, (name, color)) in MARKS.iter().enumerate() {
        let x = width - 220 + 70 * place as i32;
        root.draw(&Circle::new((x, 24), 5, color.filled()))?;
        root.draw_text(name, &font(13), (x + 9, 17))?;
    }
    let right = font(13).pos(Pos::new(HPos::Right, VPos::Center));
    for (place, variant) in summary.variants.iter().enumerate() {
        root.draw_text(&variant.name, &right, (LABELS - 8, line(place)))?;
    }
    for (place, workload) in workloads.iter().enumerate() {
        draw_panel(&root, summary, place, &workload.name)?;
    }
    root.present()?;
    Ok(())
}

/// Where the line of a variant is.
fn line(place: usize) -> i32 {
    TOP + LINE * place as i32 + LINE / 2
}

fn draw_panel(
    root: &Area<'_>,
    summary: &RunSummary,
    workload: usize,
    name: &str,
) -> Result<(), DrawError> {
    let values = || summary.variants.iter().filter_map(|variant| of(variant, workload));
    let most = values().flatten().fold(1.0, f64::max);
    let least = values().flatten().fold(most, f64::min);
    // Whole steps of 1, 2, 5 around what there is.
    let steps: Vec<f64> =
        (-1..6).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power))).collect();
    let low = steps.iter().copied().filter(|step| *step <= least).fold(0.1, f64::max);
    let high =
        steps.iter().copied().find(|step| *step >= most && *step > low).unwrap_or(most * 2.0);
    let left = LABELS + PANEL * workload as i32 + 10;
    let at = |value: f64| {
        left + ((value / low).ln() / (high / low).ln() * f64::from(PANEL - GAP)) as i32
    };
    let bottom = TOP + LINE * summary.variants.len() as i32;
    let middle = font(12).pos(Pos::new(HPos::Center, VPos::Center));
    let heading = font(14).pos(Pos::new(HPos::Center, VPos::Center));
    root.draw_text(name, &heading, (left + (PANEL - GAP) / 2, TOP - 38))?;
    let ticks: Vec<f64> = steps.into_iter().filter(|step| *step >= low && *step <= high).collect();
    // Labels of a long axis stand at the powers of ten alone.
    let sparse = ticks.len() > 7;
    for tick in ticks {
        let x = at(tick);
        root.draw(&PathElement::new(vec![(x, TOP - 6), (x, bottom + 6)], GREY.mix(0.25)))?;
        if !sparse || tick.log10().fract().abs() < 1e-9 {
            for y in [TOP - 16, bottom + 18] {
                root.draw_text(&format!("{tick}"), &middle, (x, y))?;
            }
        }
    }
    for (place, variant) in summary.variants.iter().enumerate() {
        let Some(of) = of(variant, workload) else { continue };
        let ends = vec![(at(of[0]), line(place)), (at(of[2]), line(place))];
        root.draw(&PathElement::new(ends, GREY.mix(0.6).stroke_width(2)))?;
        for (value, (_, color)) in of.iter().zip(MARKS).rev() {
            root.draw(&Circle::new((at(*value), line(place)), 5, color.filled()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::{Context, Figures, WorkloadSummary};
    use fabric::units::Span;

    fn summary(finished: bool) -> RunSummary {
        let record = crate::summary::tests::record(&[finished.then_some(10), Some(20)]);
        let ideals = vec![Span::from_micros(if finished { 5 } else { 0 }); 2];
        let figures = Figures::of(&record, &Context { messages: 2, ideals, ..Context::default() });
        let workload = |name: &str| WorkloadSummary { name: name.into(), figures: figures.clone() };
        let variant = |name: &str| VariantSummary {
            name: name.into(),
            clock_dilation: 1,
            figures: figures.clone(),
            workloads: vec![workload("incast"), workload("ring")],
        };
        RunSummary {
            name: "n".into(),
            seed: 1,
            version: "0".into(),
            variants: ["a", "b", "c"].map(variant).into(),
            claims: Vec::new(),
        }
    }

    /// A row a variant, a cell a workload; the same in Markdown.
    #[test]
    fn the_table_has_all_pairs() {
        let summary = summary(true);
        assert!(is_worth_it(&summary));
        assert_eq!(text(&summary).matches("2.00 / 4.00 / 4.00").count(), 6);
        let markdown = markdown(&summary);
        assert!(markdown.lines().count() == 5 && markdown.contains("|---"), "{markdown}");
    }

    /// Three dots for each pair, and the legend's.
    #[test]
    fn the_figure_has_a_dot_for_each_percentile() {
        let svg = svg(&summary(true)).unwrap();
        assert_eq!(svg.matches("<circle").count(), 3 * 6 + 3);
        assert!(crate::plots::png(&svg).unwrap().starts_with(b"\x89PNG"));
    }
}
