//! Large fabrics: a bar for each tier, as long as its bandwidth, with what there is between them.

use fabric::graph::Graph;

use super::{COLOURS, Canvas, HOST, classes, colour, name, rate, row};

const ROW: f64 = 140.0;
const WIDTH: f64 = 1_100.0;

pub(super) fn draw(graph: &Graph, title: &str) -> String {
    let tiers = graph.tier_names.len();
    let classes = classes(graph);
    let height = 110.0 + ROW * tiers as f64 + 40.0;
    let mut canvas = Canvas::new(WIDTH, height, title);
    let mut counts = vec![0u64; tiers + 1];
    counts[0] = u64::from(graph.hosts);
    graph.switches.iter().for_each(|switch| counts[usize::from(switch.tier) + 1] += 1);
    // A bar is as long as what its links can carry together; the longest has all the width.
    let mut carried = vec![0.0f64; tiers + 1];
    for (class, count) in &classes {
        let bandwidth = class.rate as f64 * *count as f64;
        carried[usize::from(class.ends.0)] += bandwidth;
        carried[usize::from(class.ends.1)] += bandwidth;
    }
    let most = carried.iter().copied().fold(1.0, f64::max);
    let row = |level: usize| 80.0 + ROW * row(graph, level as u8);
    // Where the last text was written between two rows.
    let mut written: Vec<(usize, usize)> = Vec::new();
    let half = |level: usize| (carried[level] / most * (WIDTH - 340.0)).max(60.0) / 2.0;
    for (number, (class, count)) in classes.iter().enumerate() {
        let [low, high] = [class.ends.0, class.ends.1].map(usize::from);
        let same = written.iter().filter(|ends| **ends == (low, high)).count();
        written.push((low, high));
        let between = (row(low) + row(high)) / 2.0 + 20.0 * same as f64;
        let lines = 24;
        let at = |level: usize, k: f64| (WIDTH / 2.0 + half(level) * k, row(level));
        let fan = (0..=lines).map(|k| f64::from(k) / f64::from(lines) * 2.0 - 1.0);
        canvas.lines(colour(number), 400, fan.map(|k| [at(low, k), at(high, k)]));
        let text = format!("{} × {}", grouped(*count), rate(class.rate));
        let x = WIDTH / 2.0;
        canvas.node((x, between - 4.0), (9.0 * text.len() as f64, 20.0), "white", &text);
        canvas.text(x, between, 13.0, "middle", &text);
    }
    for (level, count) in counts.iter().enumerate() {
        let fill = if level == 0 { HOST } else { COLOURS[level % 7] };
        let own = name(graph, level as u8);
        let y = row(level);
        canvas.node((WIDTH / 2.0, y), (2.0 * half(level), 26.0), fill, own);
        let text = match level {
            0 => format!("{} hosts", grouped(*count)),
            _ => format!("{} × {own}", grouped(*count)),
        };
        canvas.text(WIDTH / 2.0, y - 20.0, 15.0, "middle", &text);
        let tera = carried[level] / 1e12;
        canvas.text(WIDTH - 20.0, y + 5.0, 12.0, "end", &format!("{tera:.0} Tb/s of links"));
    }
    canvas.finish()
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
