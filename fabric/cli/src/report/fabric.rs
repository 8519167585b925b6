//! The fabric of each variant as the page draws it, with the load of its links.

use std::collections::BTreeMap;

use results::report::{FabricPage, encode};
use results::views::Tables;

use crate::error::UserError;
use crate::stored::{Stored, in_table};

/// Links from which on a fabric is not drawn: nobody could tell them apart, and the page would be slow.
const MANY: usize = 20_000;
/// Intervals at the most.
const INTERVALS: usize = 128;

/// The fabric of a variant, its links numbered as in the records.
type Drawn = BTreeMap<String, FabricPage>;

/// Fabrics with loads, one a workload of a variant of which something was recorded over time.
pub(super) fn fabrics(stored: &Stored, tables: &Tables) -> Result<Vec<FabricPage>, UserError> {
    let drawn = drawn(stored, tables)?;
    let name = "port_samples";
    let samples = &tables.samples;
    let (variants, workloads) =
        (in_table(name, samples.text("variant"))?, in_table(name, samples.text("workload"))?);
    let whole = |column| in_table(name, samples.whole(column));
    let (at, interval, link) = (whole("at_ps")?, whole("interval_ps")?, whole("link")?);
    let load = in_table(name, samples.numbers("utilisation"))?;
    let mut pages = Vec::new();
    let mut row = 0;
    while row < samples.rows() {
        let (variant, workload) = (variants[row], workloads[row]);
        let begin = row;
        while row < samples.rows() && (variants[row], workloads[row]) == (variant, workload) {
            row += 1;
        }
        let Some(fabric) = drawn.get(variant) else { continue };
        let rows = begin..row;
        let last = rows.clone().map(|row| at[row] / interval[row]).max().unwrap_or(0) as usize;
        // Several intervals of the records share one of the page, if there are too many: the fullest is shown.
        let each = last.div_ceil(INTERVALS).max(1);
        let intervals = last.div_ceil(each);
        let links = fabric.links.len();
        let mut loads = vec![0u8; intervals * links];
        for row in rows {
            let place = ((at[row] / interval[row]) as usize - 1) / each;
            let own = (load[row].unwrap_or(0.0).clamp(0.0, 1.0) * 255.0).round() as u8;
            let cell = &mut loads[place * links + link[row] as usize];
            *cell = own.max(*cell);
        }
        pages.push(FabricPage {
            title: format!("{variant}, {workload}"),
            interval: interval[begin] as f64 * each as f64 / 1e6,
            intervals,
            loads: encode(&loads),
            ..fabric.clone()
        });
    }
    Ok(pages)
}

fn drawn(stored: &Stored, tables: &Tables) -> Result<Drawn, UserError> {
    let (nodes, links) = (stored.table("nodes")?, stored.table("links")?);
    let mut drawn = Drawn::new();
    let mut places: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let (variants, names) =
        (in_table("nodes", nodes.text("variant"))?, in_table("nodes", nodes.text("node"))?);
    let levels = in_table("nodes", nodes.whole("level"))?;
    for (row, variant) in variants.iter().enumerate() {
        let fabric = drawn.entry((*variant).to_owned()).or_default();
        places.insert((variant, names[row]), fabric.nodes.len());
        fabric.nodes.push(names[row].to_owned());
        fabric.levels.push(levels[row]);
    }
    let text = |name| in_table("links", links.text(name));
    let (variants, a, b) = (text("variant")?, text("a")?, text("b")?);
    for (row, variant) in variants.iter().enumerate() {
        let place = |end: &[&str]| places.get(&(*variant, end[row])).copied();
        if let (Some(fabric), Some(a), Some(b)) = (drawn.get_mut(*variant), place(&a), place(&b)) {
            fabric.links.push((a, b));
        }
    }
    drawn.retain(|_, fabric| fabric.links.len() <= MANY);
    let faults = &tables.faults;
    let text = |name| in_table("faults", faults.text(name));
    let (variants, where_, what) = (text("variant")?, text("place")?, text("change")?);
    let at = in_table("faults", faults.whole("at_ps"))?;
    for (row, variant) in variants.iter().enumerate() {
        if let Some(fabric) = drawn.get_mut(*variant) {
            fabric.faults.push((at[row] as f64 / 1e6, format!("{} {}", where_[row], what[row])));
        }
    }
    Ok(drawn)
}
