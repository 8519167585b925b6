//! Completion-time distributions, variants overlaid: one panel a workload, as SVG and PNG.

use fabric::units::Span;
use plotters::prelude::*;

use crate::plots::style::{DASHES, DrawError, GREY, colour, font, legend, number};

/// The sorted completion times of one variant.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Variant.
    pub name: String,
    /// Sorted completion times.
    pub times: Vec<Span>,
}

/// The curves of one workload.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Workload.
    pub title: String,
    /// One a variant.
    pub curves: Vec<Curve>,
}

const PANEL: (u32, u32) = (760, 560);
/// Points drawn of a curve at the most.
const POINTS: usize = 600;
/// Longest over shortest time above which the time axis is logarithmic.
const LOG_SPREAD: f64 = 20.0;

/// The figure as SVG.
///
/// # Errors
/// What the drawing library reports; nothing a user can cause.
pub fn svg(title: &str, panels: &[Panel]) -> Result<String, String> {
    let mut text = String::new();
    let size = (PANEL.0 * panels.len().max(1) as u32, PANEL.1);
    draw(&mut text, size, title, panels).map_err(|error| error.to_string())?;
    Ok(text)
}

fn draw(
    text: &mut String,
    size: (u32, u32),
    title: &str,
    panels: &[Panel],
) -> Result<(), DrawError> {
    let root = SVGBackend::with_string(text, size).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(&format!("{title}: completion time of flows"), font(22))?;
    for (area, panel) in root.split_evenly((1, panels.len().max(1))).iter().zip(panels) {
        draw_panel(area, panel)?;
    }
    root.present()?;
    Ok(())
}

fn micros(span: Span) -> f64 {
    span.as_micros().max(1e-6)
}

/// Axes and grid. A macro, because the chart's type differs with the scale of its axis.
macro_rules! decorate {
    ($chart:ident, $label:expr) => {
        $chart
            .configure_mesh()
            .x_desc($label)
            .y_desc("share of flows")
            .axis_desc_style(font(15))
            .label_style(font(13))
            .light_line_style(TRANSPARENT)
            .bold_line_style(GREY.mix(0.18))
            .x_labels(7)
            .y_labels(11)
            .y_label_formatter(&|share| format!("{share:.1}"))
            .x_label_formatter(&|time| number(*time))
            .draw()?;
    };
}

/// Curves, marks at the 50th and 99th percentile, and the legend.
macro_rules! curves {
    ($chart:ident, $panel:ident) => {
        for (place, curve) in $panel.curves.iter().enumerate() {
            let colour = colour(place);
            let style = colour.stroke_width(2);
            let points = steps(&curve.times);
            let drawn = match DASHES[place % DASHES.len()] {
                None => $chart.draw_series(LineSeries::new(points, style))?,
                Some((dash, gap)) => {
                    $chart.draw_series(DashedLineSeries::new(points, dash, gap, style))?
                }
            };
            drawn
                .label(legend(curve))
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 26, y)], style));
            let marks = [50, 99].into_iter().filter_map(|percent| mark(&curve.times, percent));
            $chart.draw_series(marks.map(|point| Circle::new(point, 4, colour.filled())))?;
        }
        legend!($chart, LowerRight);
    };
}
fn draw_panel<DB: DrawingBackend>(
    area: &DrawingArea<DB, plotters::coord::Shift>,
    panel: &Panel,
) -> Result<(), DrawError>
where
    DB::ErrorType: 'static,
{
    let ends = |end: fn(&[Span]) -> Option<&Span>| {
        panel.curves.iter().filter_map(move |curve| end(&curve.times).map(|time| micros(*time)))
    };
    let low = ends(<[Span]>::first).fold(f64::INFINITY, f64::min);
    let high = ends(<[Span]>::last).fold(0.0, f64::max);
    if high == 0.0 {
        area.draw_text("no flow finished", &font(16), (40, 60))?;
        return Ok(());
    }
    let mut builder = ChartBuilder::on(area);
    builder.caption(&panel.title, font(17)).margin(14).x_label_area_size(48).y_label_area_size(62);
    if high / low > LOG_SPREAD {
        let range = (low * 0.8..high * 1.25).log_scale();
        let mut chart = builder.build_cartesian_2d(range, 0.0..1.0)?;
        decorate!(chart, "completion time, us (logarithmic)");
        curves!(chart, panel);
    } else {
        let margin = ((high - low) * 0.05).max(high * 0.01);
        let range = (low - margin).max(0.0)..high + margin;
        let mut chart = builder.build_cartesian_2d(range, 0.0..1.0)?;
        decorate!(chart, "completion time, us");
        curves!(chart, panel);
    }
    Ok(())
}

fn legend(curve: &Curve) -> String {
    match (mark(&curve.times, 50), mark(&curve.times, 99)) {
        (Some((p50, _)), Some((p99, _))) => {
            format!("{}  (p50 {} us, p99 {} us)", curve.name, number(p50), number(p99))
        }
        _ => format!("{}  (no flow finished)", curve.name),
    }
}

/// Where the curve reaches a percentage.
fn mark(times: &[Span], percent: usize) -> Option<(f64, f64)> {
    let rank = (times.len() * percent).div_ceil(100).checked_sub(1)?;
    Some((micros(times[rank]), (rank + 1) as f64 / times.len() as f64))
}

/// The corners of the distribution's steps, thinned to what can be seen.
fn steps(times: &[Span]) -> Vec<(f64, f64)> {
    let count = times.len();
    let stride = count.div_ceil(POINTS).max(1);
    let mut points = Vec::new();
    let mut share = 0.0;
    for rank in (0..count).step_by(stride).chain(count.checked_sub(1)) {
        let time = micros(times[rank]);
        points.push((time, share));
        share = (rank + 1) as f64 / count as f64;
        points.push((time, share));
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(times: &[&[u64]]) -> Panel {
        let curves = times.iter().enumerate().map(|(number, times)| Curve {
            name: format!("variant {number}"),
            times: times.iter().map(|time| Span::from_micros(*time)).collect(),
        });
        Panel { title: "permutation".into(), curves: curves.collect() }
    }

    /// The figure names its variants and units, and the PNG is one, with dark pixels.
    #[test]
    fn a_figure_is_drawn_in_both_forms() {
        for times in [&[&[50u64, 60, 70][..], &[55, 900, 4_000]][..], &[&[5, 5, 5]], &[&[7]]] {
            let svg = svg("demo", &[panel(times)]).unwrap();
            assert!(svg.contains("demo: completion time of flows") && svg.contains("variant 0"));
            assert!(svg.contains("share of flows"));
            let png = crate::plots::png(&svg).unwrap();
            let pixels = resvg::tiny_skia::Pixmap::decode_png(&png).unwrap();
            assert_eq!((pixels.width(), pixels.height()), (2 * PANEL.0, 2 * PANEL.1));
            let dark = pixels.pixels().iter().filter(|pixel| pixel.red() < 80).count();
            assert!(dark > 2_000, "{dark} dark pixels: lines and text");
        }
    }

    /// A run in which nothing finished still gives a figure that says so.
    #[test]
    fn nothing_finished_is_said() {
        assert!(svg("demo", &[panel(&[&[]])]).unwrap().contains("no flow finished"));
    }

    /// Thinning keeps the first and the last step.
    #[test]
    fn curves_reach_one() {
        let times: Vec<Span> = (1..=10_000).map(Span::from_micros).collect();
        let points = steps(&times);
        assert!(points.len() < 3 * POINTS);
        assert_eq!(points[0], (1.0, 0.0));
        assert_eq!(points.last(), Some(&(10_000.0, 1.0)));
    }
}
