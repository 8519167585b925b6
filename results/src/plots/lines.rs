//! Lines over an axis, with an interval at each point: sweeps, time series, bandwidth by size.

use plotters::prelude::*;

use crate::plots::style::{COLOURS, DASHES, DrawError, GREY, colour, font, legend, number};

/// A point of a line.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Point {
    /// Where.
    pub x: f64,
    /// The value.
    pub y: f64,
    /// Half the width of its confidence interval; 0 where there is none.
    pub spread: f64,
}

/// A line.
#[derive(Clone, Debug)]
pub struct Line {
    /// What the legend says.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<Point>,
}

/// An axis.
#[derive(Clone, Debug, Default)]
pub struct Axis {
    /// What it shows, with the unit.
    pub label: String,
    /// Names of places 0, 1, 2, … where values are words.
    pub words: Vec<String>,
    /// Where labels are written as sizes in bytes.
    pub bytes: bool,
    /// It is logarithmic where places lie far apart.
    pub logarithmic: bool,
}

/// A figure.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// Above it.
    pub title: String,
    /// Across.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// The lines.
    pub lines: Vec<Line>,
    /// Points are marked.
    pub marks: bool,
    /// The y axis begins at 0.
    pub from_zero: bool,
}

const SIZE: (u32, u32) = (860, 560);
/// Largest over least place from which on the axis is logarithmic.
const LOG_SPREAD: f64 = 15.0;
/// Share of the height that a legend takes, and each of its lines.
const LEGEND: (f64, f64) = (0.07, 0.042);

/// Charts one below the other, as SVG.
///
/// # Errors
/// What the drawing library reports; nothing a user can cause.
pub fn svg(charts: &[Chart]) -> Result<String, String> {
    let mut text = String::new();
    draw(&mut text, charts).map_err(|error| error.to_string())?;
    Ok(text)
}

fn draw(text: &mut String, charts: &[Chart]) -> Result<(), DrawError> {
    let count = charts.len().max(1);
    let size = (SIZE.0, SIZE.1 * count as u32);
    let root = SVGBackend::with_string(text, size).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, chart) in root.split_evenly((count, 1)).iter().zip(charts) {
        draw_chart(area, chart)?;
    }
    root.present()?;
    Ok(())
}

/// A size in bytes with a unit.
fn size(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut place = 0;
    while value >= 1_024.0 && place + 1 < units.len() {
        value /= 1_024.0;
        place += 1;
    }
    let digits = usize::from(value.fract() > 0.05);
    format!("{value:.digits$} {}", units[place])
}

impl Axis {
    fn text(&self, value: f64) -> String {
        if !self.words.is_empty() {
            let is_whole = (value - value.round()).abs() < 1e-6 && value >= 0.0;
            let word = self.words.get(value.round() as usize).filter(|_| is_whole);
            return word.cloned().unwrap_or_default();
        }
        if self.bytes { size(value) } else { number(value) }
    }
}

/// Axes and grid. A macro, because the chart's type differs with the scale of its axis.
macro_rules! decorate {
    ($builder:ident, $chart:ident, $range:expr, $y:expr) => {{
        let mut plot = $builder.build_cartesian_2d($range, $y)?;
        let ticks = if $chart.x.words.is_empty() { 8 } else { 2 * $chart.x.words.len() + 1 };
        plot.configure_mesh()
            .x_desc($chart.x.label.as_str())
            .y_desc($chart.y.label.as_str())
            .axis_desc_style(font(15))
            .label_style(font(13))
            .light_line_style(TRANSPARENT)
            .bold_line_style(GREY.mix(0.18))
            .x_labels(ticks)
            .y_labels(9)
            .x_label_formatter(&|value| $chart.x.text(*value))
            .y_label_formatter(&|value| $chart.y.text(*value))
            .draw()?;
        for (place, line) in $chart.lines.iter().enumerate() {
            let style = colour(place).stroke_width(2);
            let points = || line.points.iter().map(|point| (point.x, point.y));
            let drawn = match DASHES[(place / COLOURS.len()) % DASHES.len()] {
                None => plot.draw_series(LineSeries::new(points(), style))?,
                Some((dash, gap)) => {
                    plot.draw_series(DashedLineSeries::new(points(), dash, gap, style))?
                }
            };
            drawn
                .label(line.name.as_str())
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 26, y)], style));
            let spreads = line.points.iter().filter(|point| point.spread > 0.0);
            plot.draw_series(spreads.map(|point| {
                let (low, high) = (point.y - point.spread, point.y + point.spread);
                ErrorBar::new_vertical(point.x, low, point.y, high, style, 8)
            }))?;
            if $chart.marks {
                plot.draw_series(points().map(|at| Circle::new(at, 4, colour(place).filled())))?;
            }
        }
        if $chart.lines.len() > 1 {
            legend!(plot, UpperLeft);
        }
    }};
}

fn draw_chart(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    chart: &Chart,
) -> Result<(), DrawError> {
    let points = || chart.lines.iter().flat_map(|line| &line.points);
    let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::NEG_INFINITY, f64::max);
    let (left, right) = (least(&mut points().map(|p| p.x)), most(&mut points().map(|p| p.x)));
    if points().next().is_none() {
        area.draw_text(&chart.title, &font(17), (24, 24))?;
        area.draw_text("there is nothing to show", &font(16), (24, 70))?;
        return Ok(());
    }
    let high = most(&mut points().map(|p| p.y + p.spread));
    let low = least(&mut points().map(|p| p.y - p.spread));
    let low = if chart.from_zero || low < 0.35 * high { low.min(0.0) } else { low };
    // Room above for the legend.
    let room = (high - low).max(high.abs() * 0.02).max(1e-9);
    let legend = match chart.lines.len() {
        1 => 0.05,
        lines => (LEGEND.0 + LEGEND.1 * lines as f64).min(0.5),
    };
    let y = (low - if low == 0.0 { 0.0 } else { 0.05 * room })..(low + room / (1.0 - legend));
    let mut builder = ChartBuilder::on(area);
    builder.caption(&chart.title, font(17)).margin(16).x_label_area_size(50).y_label_area_size(78);
    if chart.x.logarithmic && left > 0.0 && right / left > LOG_SPREAD {
        let range = (left * 0.9..right * 1.1).log_scale();
        let range = if chart.x.bytes { range.base(2.0) } else { range };
        decorate!(builder, chart, range, y);
    } else {
        let margin = if chart.x.words.is_empty() { (right - left) * 0.03 } else { 0.5 };
        let margin = if margin == 0.0 { right.abs().max(1.0) * 0.1 } else { margin };
        decorate!(builder, chart, left - margin..right + margin, y);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, points: &[(f64, f64)]) -> Line {
        let points = points.iter().map(|(x, y)| Point { x: *x, y: *y, spread: y * 0.1 });
        Line { name: name.into(), points: points.collect() }
    }

    /// Lines have their names, points their intervals; axes are written as their kind wants.
    #[test]
    fn charts_are_drawn() {
        let axis = |label: &str| Axis { label: label.into(), ..Axis::default() };
        let sizes = Chart {
            title: "bandwidth".into(),
            x: Axis { bytes: true, logarithmic: true, ..axis("size") },
            y: axis("Gb/s"),
            lines: vec![
                line("uec", &[(65_536.0, 1.0), (1_048_576.0, 5.0), (16_777_216.0, 9.0)]),
                line("roce", &[(65_536.0, 2.0), (16_777_216.0, 7.0)]),
            ],
            marks: true,
            from_zero: true,
        };
        let words = Chart {
            x: Axis { words: vec!["nscc".into(), "rccc".into()], ..axis("congestion") },
            lines: vec![line("uec", &[(0.0, 4.0), (1.0, 5.0)])],
            ..sizes.clone()
        };
        let empty = Chart { lines: Vec::new(), ..sizes.clone() };
        let svg = svg(&[sizes, words, empty]).unwrap();
        for part in ["bandwidth", "roce", "MiB", "rccc", "there is nothing to show"] {
            assert!(svg.contains(part), "{part}");
        }
        // A mark a point, and one of its interval.
        assert_eq!(svg.matches("<circle").count(), 2 * (3 + 2 + 2));
        assert!(crate::plots::png(&svg).unwrap().starts_with(b"\x89PNG"));
    }

    /// Sizes have the unit that keeps them short.
    #[test]
    fn sizes_have_units() {
        assert_eq!([size(512.0), size(1_536.0), size(4_194_304.0)], ["512 B", "1.5 KiB", "4 MiB"]);
    }
}
