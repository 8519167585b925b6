//! One page about runs and sweeps: figures, interactive charts, the fabric with the load of its links over time.
//!
//! The page is one file that needs nothing else: data, style, code, and the charting library (plotly.js) are in it. What it shows is a
//! [`Page`]; `page.js` draws it.

use base64::Engine as _;
use serde::Serialize;
use serde_json::Value;

use crate::plots::lines::{Axis, Chart};

/// What the page shows.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Page {
    /// Above all.
    pub title: String,
    /// Version of the program.
    pub version: String,
    /// Runs.
    pub runs: Vec<RunPage>,
    /// Sweeps.
    pub sweeps: Vec<SweepPage>,
}

/// A run.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct RunPage {
    /// Its folder's name.
    pub name: String,
    /// The command that makes it again.
    pub command: String,
    /// The scenario after all overrides.
    pub scenario: String,
    /// Claims, a line each.
    pub claims: Vec<ClaimLine>,
    /// Variants side by side, a table a workload.
    pub tables: Vec<SideBySide>,
    /// Charts.
    pub charts: Vec<Value>,
    /// Fabrics with the load of their links, one a workload of a variant.
    pub fabrics: Vec<FabricPage>,
    /// The slowest flows.
    pub slowest: Vec<SlowFlow>,
    /// What is not shown, and why.
    pub notes: Vec<String>,
}

/// A claim's verdict.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ClaimLine {
    /// Whether it holds.
    pub holds: bool,
    /// What was found.
    pub text: String,
}

/// Figures of variants side by side.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SideBySide {
    /// The workload.
    pub title: String,
    /// Variants.
    pub variants: Vec<String>,
    /// Figures: name, unit, which way is better, a value for each variant.
    pub rows: Vec<(String, String, &'static str, Vec<Option<f64>>)>,
}

/// A fabric, and what its links carried.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct FabricPage {
    /// Variant and workload.
    pub title: String,
    /// Names of nodes.
    pub nodes: Vec<String>,
    /// Levels of nodes: 0 for hosts.
    pub levels: Vec<u64>,
    /// Links: their ends, by place among nodes.
    pub links: Vec<(usize, usize)>,
    /// Length of an interval, in microseconds.
    pub interval: f64,
    /// Intervals.
    pub intervals: usize,
    /// Base64 of a byte for each interval and link: the load of the busier direction, 255 being full.
    pub loads: String,
    /// Changes of the fabric: when in microseconds, and what.
    pub faults: Vec<(f64, String)>,
}

/// A slow flow.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct SlowFlow {
    /// Variant and workload.
    pub run: String,
    /// Its number.
    pub message: u64,
    /// Sending host.
    pub src: u64,
    /// Receiving host.
    pub dst: u64,
    /// Payload bytes.
    pub bytes: u64,
    /// Completion time, in microseconds; missing if it did not finish.
    pub fct_us: Option<f64>,
    /// That over the ideal.
    pub slowdown: Option<f64>,
    /// Where its time went, if that was asked: causes with microseconds, the longest first.
    pub causes: Vec<(&'static str, f64)>,
    /// The same with its way and places, as `ultraloom explain` prints it.
    pub explanation: String,
}

/// A sweep.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct SweepPage {
    /// Its folder's name.
    pub name: String,
    /// The command that makes it again.
    pub command: String,
    /// The scenario with its sweep.
    pub scenario: String,
    /// How many runs.
    pub runs: usize,
    /// Heads and rows of the table of means.
    pub table: (Vec<String>, Vec<Vec<String>>),
    /// Charts over its axes.
    pub charts: Vec<Value>,
}

/// Bytes as the page takes them.
pub fn encode(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Points of a line at the most.
const POINTS: usize = 2_000;

/// A chart as the page takes it.
pub fn chart(chart: &Chart) -> Value {
    let axis = |axis: &Axis| {
        serde_json::json!({
            "label": axis.label, "words": axis.words, "bytes": axis.bytes, "log": axis.logarithmic,
        })
    };
    let lines = chart.lines.iter().map(|line| {
        let stride = line.points.len().div_ceil(POINTS).max(1);
        let points: Vec<_> = line.points.iter().step_by(stride).collect();
        let has_spread = points.iter().any(|point| point.spread > 0.0);
        let of = |value: fn(&crate::plots::lines::Point) -> f64| -> Vec<f64> {
            points.iter().map(|point| round(value(point))).collect()
        };
        let spread = if has_spread { of(|point| point.spread) } else { Vec::new() };
        serde_json::json!({
            "name": line.name, "x": of(|point| point.x), "y": of(|point| point.y), "spread": spread,
        })
    });
    serde_json::json!({
        "title": chart.title, "x": axis(&chart.x), "y": axis(&chart.y),
        "lines": lines.collect::<Vec<_>>(), "marks": chart.marks, "zero": chart.from_zero,
    })
}

/// Six digits are enough for a page.
fn round(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let scale = 10f64.powi(6 - value.abs().log10().ceil() as i32);
    if scale.is_finite() { (value * scale).round() / scale } else { value }
}

/// The charting library, without the mathematics that comes with it.
fn library() -> String {
    let sources = plotly::Plot::offline_js_sources();
    let end = sources.find("</script>").unwrap_or(sources.len());
    let start = sources.find('>').map_or(0, |start| start + 1);
    sources[start..end].to_owned()
}

/// The page as HTML.
///
/// # Panics
/// Never: a page is plain data.
pub fn html(page: &Page) -> String {
    let data = serde_json::to_string(page).expect("a page is plain data");
    // Within a script, `</` would end it.
    let data = data.replace("</", "<\\/");
    let title = page.title.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n<style>\n{}</style>\n</head>\n<body>\n\
         <header><h1>{title}</h1><nav id=\"nav\"></nav>\
         <button id=\"theme\" type=\"button\" title=\"light or dark\">&#9680;</button></header>\n\
         <main id=\"main\"></main>\n<footer>Ultraloom {}</footer>\n\
         <script id=\"data\" type=\"application/json\">{data}</script>\n<script>{}</script>\n<script>\n{}</script>\n\
         </body>\n</html>\n",
        include_str!("page.css"),
        page.version,
        library(),
        include_str!("page.js"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page needs nothing else: no address is asked for data, and what names contain cannot end its scripts.
    #[test]
    fn the_page_is_whole() {
        let run = RunPage { name: "</script><b>".into(), ..RunPage::default() };
        let page = Page { title: "a < b".into(), runs: vec![run], ..Page::default() };
        let html = html(&page);
        assert!(html.contains("<title>a &lt; b</title>"));
        assert!(html.contains("<\\/script><b>"));
        assert_eq!(html.matches("</script>").count(), 3);
        let own = html.replace(&library(), "");
        assert!(own.len() < 100_000 && !own.contains("http"), "nothing is asked of anywhere else");
    }

    /// Numbers are short, and near what they stand for.
    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [round(1_234_567.89), round(0.000_123_456_789), round(0.0)],
            [1_234_570.0, 0.000_123_457, 0.0]
        );
    }
}
