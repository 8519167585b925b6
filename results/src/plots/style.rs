//! What all figures share: colours, dashes, fonts, numbers, and the way from SVG to PNG.

use plotters::prelude::*;
use plotters::style::FontFamily;

/// What the drawing library reports.
pub(crate) type DrawError = Box<dyn std::error::Error>;

/// Colours that stay apart for colour-blind readers and in print (Okabe and Ito).
pub(crate) const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
];

/// Dash lengths in pixels, so that lines stay apart without colour: solid first.
pub(crate) const DASHES: [Option<(i32, i32)>; 4] =
    [None, Some((12, 5)), Some((4, 4)), Some((18, 4))];

/// Axes and what stands back.
pub(crate) const GREY: RGBColor = RGBColor(110, 110, 110);

/// Text of a size in pixels.
pub(crate) fn font(size: u32) -> TextStyle<'static> {
    (FontFamily::SansSerif, size).into_font().color(&BLACK)
}

/// The colour of the series at a place.
pub(crate) fn colour(place: usize) -> RGBColor {
    COLOURS[place % COLOURS.len()]
}

/// A label of an axis: as many digits as are needed to tell neighbours apart.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1e7 => format!("{value:.1e}"),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 && (value - value.round()).abs() < 0.05 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.3}"),
    }
}

/// The legend of a chart. A macro, because the chart's type differs with the scales of its axes.
macro_rules! legend {
    ($chart:ident, $position:ident) => {
        $chart
            .configure_series_labels()
            .position(SeriesLabelPosition::$position)
            .background_style(WHITE.mix(0.85))
            .border_style(GREY.mix(0.5))
            .label_font(font(13))
            .legend_area_size(34)
            .margin(12)
            .draw()?;
    };
}
pub(crate) use legend;

/// A figure as PNG, of twice the SVG's size.
///
/// # Errors
/// What the rendering library reports; nothing a user can cause.
pub fn png(svg: &str) -> Result<Vec<u8>, String> {
    let mut options = resvg::usvg::Options::default();
    options.fontdb_mut().load_font_data(dejavu::sans::regular().to_vec());
    options.fontdb_mut().set_sans_serif_family("DejaVu Sans");
    "DejaVu Sans".clone_into(&mut options.font_family);
    let tree = resvg::usvg::Tree::from_str(svg, &options).map_err(|error| error.to_string())?;
    let size = tree.size().to_int_size();
    let mut pixels = resvg::tiny_skia::Pixmap::new(size.width() * 2, size.height() * 2)
        .ok_or("the figure has no size")?;
    let scale = resvg::tiny_skia::Transform::from_scale(2.0, 2.0);
    resvg::render(&tree, scale, &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| error.to_string())
}
