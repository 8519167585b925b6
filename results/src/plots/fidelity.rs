//! Differences from a reference against what counts as agreement, as SVG.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::fidelity::{Check, Fidelity, Row};
use crate::plots::style::{DrawError, GREY, font};

const WIDTH: u32 = 1_180;
const LINE: u32 = 17;
const LABELS: i32 = 560;
const TOP: i32 = 84;
const BELOW: i32 = 46;
/// Signs of a label that fit.
const SIGNS: usize = 84;
/// More checks than this do not fit on a page.
const MANY: usize = 250;
/// Differences beyond this are drawn at the edge.
const MOST: f64 = 40.0;
/// Apart for colour-blind readers and in print (Okabe and Ito).
const AGREES: RGBColor = RGBColor(0, 114, 178);
const DIFFERS: RGBColor = RGBColor(213, 94, 0);

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// One line of the figure, all in percent of the reference.
struct Line {
    label: String,
    low: f64,
    high: f64,
    difference: f64,
    agrees: bool,
}

/// The figure as SVG: a line for each check whose reference is not zero, the grey bar being what agrees.
///
/// # Errors
/// What the drawing library reports; nothing a user can cause.
pub fn svg(fidelity: &Fidelity) -> Result<String, String> {
    let rows = fidelity.groups.iter().flat_map(|group| &group.rows);
    let all: usize =
        fidelity.groups.iter().flat_map(|group| &group.rows).map(|r| r.checks.len()).sum();
    // Of very many checks the first of each row, its mean, is shown, and those that differ.
    let few = all <= MANY;
    let shown = |(number, check): &(usize, &Check)| few || *number == 0 || !check.agrees;
    let lines: Vec<Line> = rows
        .flat_map(|row| row.checks.iter().enumerate().filter(shown).filter_map(|c| line(row, c.1)))
        .collect();
    let mut text = String::new();
    draw(&mut text, &lines).map_err(|error| error.to_string())?;
    Ok(text)
}

fn line(row: &Row, check: &Check) -> Option<Line> {
    let percent = |value: f64| (value / check.reference - 1.0) * 100.0;
    Some(Line {
        label: shortened(&format!(
            "{}, {} Gb/s, {}: {}",
            row.case, row.gbps, row.setup, check.compared
        )),
        low: percent(check.low),
        high: percent(check.high),
        difference: check.difference_percent?,
        agrees: check.agrees,
    })
}

/// A label that fits, without what stands in its middle.
fn shortened(label: &str) -> String {
    let signs: Vec<char> = label.chars().collect();
    if signs.len() <= SIGNS {
        return label.to_owned();
    }
    let [left, right] =
        [SIGNS / 2, signs.len() - SIGNS / 2 + 1].map(|place| place.min(signs.len()));
    signs[..left].iter().chain(&['…']).chain(&signs[right..]).collect()
}

/// Where a difference is drawn.
fn place(percent: f64, most: f64) -> i32 {
    let (left, right) = (f64::from(LABELS + 20), f64::from(WIDTH) - 30.0);
    let middle = (left + right) / 2.0;
    (middle + percent.clamp(-most, most) / most * (right - left) / 2.0) as i32
}

fn draw(text: &mut String, lines: &[Line]) -> Result<(), DrawError> {
    let height = TOP as u32 + LINE * lines.len() as u32 + BELOW as u32;
    let root = SVGBackend::with_string(text, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let title = "Difference from the reference, % (grey: what counts as agreement)";
    root.draw_text(title, &font(20), (20, 18))?;
    let widest = lines.iter().flat_map(|l| [l.low.abs(), l.high.abs(), l.difference.abs()]);
    let most = (widest.fold(1.0, f64::max) * 1.1).min(MOST);
    axis(&root, most, height as i32)?;
    for (number, line) in lines.iter().enumerate() {
        draw_line(&root, line, TOP + (LINE as i32) * number as i32 + LINE as i32 / 2, most)?;
    }
    root.present()?;
    Ok(())
}

fn axis(root: &Area<'_>, most: f64, height: i32) -> Result<(), DrawError> {
    let middle = font(13).pos(Pos::new(HPos::Center, VPos::Center));
    for step in -4..=4 {
        let percent = most * f64::from(step) / 4.0;
        let x = place(percent, most);
        let style = GREY.mix(if step == 0 { 0.8 } else { 0.25 });
        root.draw(&PathElement::new(vec![(x, TOP - 8), (x, height - BELOW + 8)], style))?;
        for y in [TOP - 20, height - BELOW + 22] {
            root.draw_text(&format!("{percent:+.0}"), &middle, (x, y))?;
        }
    }
    Ok(())
}

fn draw_line(root: &Area<'_>, line: &Line, y: i32, most: f64) -> Result<(), DrawError> {
    let label = font(12).pos(Pos::new(HPos::Right, VPos::Center));
    root.draw_text(&line.label, &label, (LABELS, y))?;
    let bounds = [(place(line.low, most), y - 4), (place(line.high, most), y + 4)];
    root.draw(&Rectangle::new(bounds, GREY.mix(0.35).filled()))?;
    let at = (place(line.difference, most), y);
    if line.agrees {
        root.draw(&Circle::new(at, 4, AGREES.filled()))?;
    } else {
        root.draw(&TriangleMarker::new(at, 6, DIFFERS.filled()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fidelity::tests::fidelity;

    /// Every check with a reference has a line, in both forms of the figure.
    #[test]
    fn every_check_has_a_line() {
        let svg = svg(&fidelity()).unwrap();
        assert_eq!(
            svg.matches("perm, 400 Gb/s").count(),
            4,
            "the one with reference zero has none"
        );
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(crate::plots::png(&svg).unwrap().starts_with(b"\x89PNG"));
    }
}
