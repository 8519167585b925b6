//! Load of links over time: a row a port, by tier and direction, darker where idle and brighter where full.

use base64::Engine as _;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::plots::style::{DrawError, font, number};

/// Ports of one tier and direction.
#[derive(Clone, PartialEq, Debug)]
pub struct Strip {
    /// `tor to agg`.
    pub name: String,
    /// Of each port when an interval begins, in microseconds, and its load from 0 to 1.
    pub rows: Vec<Vec<(f64, f64)>>,
}

/// One figure.
#[derive(Clone, PartialEq, Debug)]
pub struct Heat {
    /// Above it.
    pub title: String,
    /// Length of an interval, in microseconds.
    pub interval: f64,
    /// End of the last one.
    pub end: f64,
    /// From top to bottom.
    pub strips: Vec<Strip>,
}

const WIDTH: i32 = 860;
const LEFT: i32 = 150;
const RIGHT: i32 = 90;
const TOP: i32 = 48;
const BELOW: i32 = 58;
const GAP: i32 = 12;
/// Rows of a strip at the most; ports beyond share one.
const ROWS: usize = 96;
/// Columns at the most.
const COLUMNS: usize = 256;

/// Anchors of cividis, which looks the same with and without red-green colour blindness and stays ordered in grey.
const CIVIDIS: [(u8, u8, u8); 7] = [
    (0, 34, 78),
    (42, 63, 108),
    (87, 93, 109),
    (124, 123, 120),
    (166, 157, 117),
    (211, 193, 100),
    (254, 232, 56),
];

/// The colour of a load.
fn shade(load: f64) -> RGBColor {
    let place = load.clamp(0.0, 1.0) * (CIVIDIS.len() - 1) as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let (a, b) = (CIVIDIS[low], CIVIDIS[(low + 1).min(CIVIDIS.len() - 1)]);
    let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * part).round() as u8;
    RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

/// Height of a row of a strip in pixels.
fn height(rows: usize) -> i32 {
    match rows {
        0..=8 => 12,
        9..=24 => 7,
        25..=48 => 4,
        _ => 2,
    }
}

/// Figures one below the other, as SVG.
///
/// # Errors
/// What the drawing library reports; nothing a user can cause.
pub fn svg(figures: &[Heat]) -> Result<String, String> {
    let mut text = String::new();
    let images = draw(&mut text, figures).map_err(|error| error.to_string())?;
    let end = text.rfind("</svg>").unwrap_or(text.len());
    text.insert_str(end, &images.concat());
    Ok(text)
}

fn own_height(heat: &Heat) -> i32 {
    let strip = |strip: &Strip| {
        let rows = strip.rows.len().min(ROWS);
        (height(rows) * rows as i32).max(16) + GAP
    };
    TOP + heat.strips.iter().map(strip).sum::<i32>() + BELOW
}

fn draw(text: &mut String, figures: &[Heat]) -> Result<Vec<String>, DrawError> {
    let mut images = Vec::new();
    let size = (WIDTH as u32, figures.iter().map(own_height).sum::<i32>().max(1) as u32);
    let root = SVGBackend::with_string(text, size).into_drawing_area();
    root.fill(&WHITE)?;
    let mut top = 0;
    for heat in figures {
        draw_one(&root, heat, top, &mut images)?;
        top += own_height(heat);
    }
    root.present()?;
    Ok(images)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Cells as a picture within the figure: as rectangles they would be megabytes.
fn image(
    cells: &[Vec<f64>],
    (x, y, width, height): (i32, i32, i32, i32),
) -> Result<String, DrawError> {
    let columns = cells.first().map_or(1, Vec::len);
    let mut pixels = resvg::tiny_skia::Pixmap::new(columns as u32, cells.len().max(1) as u32)
        .ok_or("a strip has no size")?;
    for (pixel, load) in pixels.pixels_mut().iter_mut().zip(cells.iter().flatten()) {
        let RGBColor(red, green, blue) = shade(*load);
        *pixel = resvg::tiny_skia::ColorU8::from_rgba(red, green, blue, 255).premultiply();
    }
    let data = base64::engine::general_purpose::STANDARD.encode(pixels.encode_png()?);
    Ok(format!(
        "<image x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\" \
         image-rendering=\"optimizeSpeed\" href=\"data:image/png;base64,{data}\"/>\n"
    ))
}

fn draw_one(
    root: &Area<'_>,
    heat: &Heat,
    top: i32,
    images: &mut Vec<String>,
) -> Result<(), DrawError> {
    root.draw_text(&heat.title, &font(17), (LEFT, top + 14))?;
    let columns = ((heat.end / heat.interval).ceil() as usize).clamp(1, COLUMNS);
    let x = |column: usize| LEFT + ((WIDTH - LEFT - RIGHT) * column as i32) / columns as i32;
    let right = font(13).pos(Pos::new(HPos::Right, VPos::Center));
    let mut y = top + TOP;
    for strip in &heat.strips {
        let cells = cells(strip, heat.end, columns);
        let each = height(cells.len());
        let whole = (each * cells.len() as i32).max(16);
        root.draw_text(&strip.name, &right, (LEFT - 8, y + whole / 2))?;
        root.draw(&Rectangle::new([(x(0), y), (x(columns), y + whole)], shade(0.0).filled()))?;
        images.push(image(&cells, (x(0), y, x(columns) - x(0), each * cells.len() as i32))?);
        y += whole + GAP;
    }
    let middle = font(13).pos(Pos::new(HPos::Center, VPos::Top));
    for tick in 0..=4 {
        let at = LEFT + (WIDTH - LEFT - RIGHT) * tick / 4;
        root.draw_text(&number(heat.end * f64::from(tick) / 4.0), &middle, (at, y))?;
    }
    root.draw_text("time, us", &middle, (LEFT + (WIDTH - LEFT - RIGHT) / 2, y + 20))?;
    scale(root, top + TOP)
}

/// What the colours mean.
fn scale(root: &Area<'_>, top: i32) -> Result<(), DrawError> {
    let (left, bottom) = (WIDTH - RIGHT + 18, top + 110);
    for step in 0..100 {
        let y = bottom - step;
        let corners = [(left, y - 1), (left + 14, y)];
        root.draw(&Rectangle::new(corners, shade(f64::from(step) / 99.0).filled()))?;
    }
    let beside = font(12).pos(Pos::new(HPos::Left, VPos::Center));
    root.draw_text("100 %", &beside, (left + 18, bottom - 99))?;
    root.draw_text("0 %", &beside, (left + 18, bottom))?;
    root.draw_text("load", &beside, (left, bottom + 16))?;
    Ok(())
}

/// Mean loads of at most [`ROWS`] rows in each column.
fn cells(strip: &Strip, end: f64, columns: usize) -> Vec<Vec<f64>> {
    let rows = strip.rows.len().min(ROWS);
    let mut cells = vec![vec![0.0; columns]; rows];
    let mut ports = vec![0u32; rows];
    let width = end / columns as f64;
    for (place, port) in strip.rows.iter().enumerate() {
        let row = place * rows / strip.rows.len();
        ports[row] += 1;
        for (at, load) in port {
            let column = ((at / width) + 1e-9) as usize;
            if let Some(cell) = cells[row].get_mut(column) {
                *cell += load;
            }
        }
    }
    for (row, ports) in cells.iter_mut().zip(ports) {
        // Samples that share a column are shares of it.
        row.iter_mut().for_each(|cell| *cell = (*cell / f64::from(ports.max(1))).min(1.0));
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each load has its cell; ports that share a row have their mean there.
    #[test]
    fn loads_have_their_cells() {
        let strip =
            Strip { name: "tor to agg".into(), rows: vec![vec![(0.0, 1.0)], vec![(2.0, 0.5)]] };
        assert_eq!(cells(&strip, 4.0, 2), [[1.0, 0.0], [0.0, 0.5]]);
        let many = Strip { rows: vec![vec![(0.0, 1.0)]; 3 * ROWS], ..strip.clone() };
        assert_eq!(cells(&many, 4.0, 2), vec![[1.0, 0.0]; ROWS]);
        let heat = Heat { title: "t".into(), interval: 2.0, end: 4.0, strips: vec![strip] };
        let svg = svg(&[heat.clone(), heat]).unwrap();
        assert!(svg.contains("tor to agg") && svg.contains("100 %"));
        assert!(crate::plots::png(&svg).unwrap().starts_with(b"\x89PNG"));
    }

    /// Colours grow brighter with the load, so that they stay ordered in grey.
    #[test]
    fn brighter_is_fuller() {
        let grey = |load: f64| {
            let RGBColor(r, g, b) = shade(load);
            0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b)
        };
        assert!(
            (0..100).all(|step| grey(f64::from(step + 1) / 100.0) >= grey(f64::from(step) / 100.0))
        );
    }
}
