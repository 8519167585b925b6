//! What is seen of a session: how it stands, its busiest links, its hosts, frames and changes.

use std::sync::Arc;

use ::live::control::view::{LinkNow, Snapshot, State, Topology, Way};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table, TableState};

/// Characters of a bar of load.
const BAR: usize = 10;
/// Share of a link's heat that one look at it makes.
const WARMTH: f64 = 0.1;

/// What is shown, and what is chosen.
pub(super) struct Screen {
    topology: Arc<Topology>,
    /// Where it is served as well.
    place: Option<String>,
    snapshot: Arc<Snapshot>,
    /// Load of each link over the last looks, so that the order of links does not flicker.
    heat: Vec<f64>,
    /// Links in the order in which they are shown.
    order: Vec<u32>,
    chosen: Option<u32>,
    rows: TableState,
    trouble: Option<String>,
}

impl Screen {
    pub(super) fn new(topology: Arc<Topology>, place: Option<String>) -> Screen {
        let links = topology.links.len();
        Screen {
            place,
            snapshot: Arc::default(),
            heat: vec![0.0; links],
            order: (0..links as u32).collect(),
            chosen: (links > 0).then_some(0),
            rows: TableState::default(),
            trouble: None,
            topology,
        }
    }

    /// Takes in how things stand.
    pub(super) fn look(&mut self, snapshot: Arc<Snapshot>) {
        if !Arc::ptr_eq(&self.snapshot, &snapshot) {
            for (heat, link) in self.heat.iter_mut().zip(&snapshot.links) {
                *heat += WARMTH * (link.up.load.max(link.down.load) - *heat);
            }
            let warmth = |link: &u32| (self.heat[*link as usize] * 20.0).round() as u32;
            let is_down = |link: &u32| {
                let link = snapshot.links.get(*link as usize);
                link.is_some_and(|link| link.up.down || link.down.down)
            };
            self.order.sort_by_key(|link| (!is_down(link), u32::MAX - warmth(link), *link));
        }
        self.snapshot = snapshot;
    }

    pub(super) fn state(&self) -> State {
        self.snapshot.status.state
    }

    /// The link that is chosen, and whether it is down.
    pub(super) fn chosen(&self) -> Option<(u32, bool)> {
        let link = self.snapshot.links.get(self.chosen? as usize)?;
        Some((link.id, link.up.down || link.down.down))
    }

    /// Chooses a link further down, or up.
    pub(super) fn step(&mut self, by: isize) {
        let here = self.order.iter().position(|link| Some(*link) == self.chosen).unwrap_or(0);
        let there = here.saturating_add_signed(by).min(self.order.len().saturating_sub(1));
        self.chosen = self.order.get(there).copied();
    }

    /// What went wrong with the last order, if anything did.
    pub(super) fn say(&mut self, trouble: Option<String>) {
        self.trouble = trouble;
    }
}

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &mut Screen) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(4), Constraint::Min(6), Constraint::Length(1)])
            .areas(frame.area());
    draw_head(frame, head, screen);
    if body.width >= 110 {
        let [left, right] =
            Layout::horizontal([Constraint::Min(70), Constraint::Length(44)]).areas(body);
        draw_links(frame, left, screen);
        draw_side(frame, right, screen);
    } else {
        let [top, bottom] =
            Layout::vertical([Constraint::Fill(3), Constraint::Fill(2)]).areas(body);
        draw_links(frame, top, screen);
        draw_side(frame, bottom, screen);
    }
    let keys = match &screen.trouble {
        Some(trouble) => Line::from(trouble.as_str()).style(Style::new().fg(Color::Red)),
        None => Line::from(
            " q stop   p pause and resume   up, down: choose a link   d: take it down or up",
        )
        .dim(),
    };
    frame.render_widget(Paragraph::new(keys), foot);
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let status = &screen.snapshot.status;
    let (word, colour) = match status.state {
        State::Starting => ("starting", Color::Gray),
        State::Running => ("running", Color::Green),
        State::Paused => ("paused", Color::Yellow),
        State::Over => ("over", Color::Red),
    };
    let late = status.lag.p999_us > status.tolerance_us;
    let lag = Style::new().fg(if late { Color::Red } else { Color::Reset });
    let behind = match status.behind_us {
        us if us >= 1e5 => format!(", {} BEHIND", micros(us)),
        _ => String::new(),
    };
    let lines = vec![
        Line::from(vec![
            Span::styled(format!(" {word} "), Style::new().fg(Color::Black).bg(colour)),
            Span::raw(format!(
                " emulated {}{behind}, by the clock {:.0} s, dilation {}; {} hosts, {} attached, {} links down",
                micros(status.emulated_us),
                status.wall_s,
                status.dilation,
                status.hosts,
                status.attached,
                status.links_down
            )),
        ]),
        Line::styled(
            format!(
                " lag p50 {:.0} us, p99 {:.0}, p99.9 {:.0} of {:.0} allowed, max {:.0}",
                status.lag.p50_us,
                status.lag.p99_us,
                status.lag.p999_us,
                status.tolerance_us,
                status.lag.max_us
            ),
            lag,
        ),
    ];
    let title = format!(" Ultraloom live: {} ", screen.topology.name);
    let mut block = Block::bordered().title(title.bold());
    if let Some(place) = &screen.place {
        block = block.title(Line::from(format!(" {place} ")).right_aligned());
    }
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn draw_links(frame: &mut Frame<'_>, area: Rect, screen: &mut Screen) {
    let room = area.height.saturating_sub(3) as usize;
    let Screen { topology, snapshot, order, chosen, rows, .. } = screen;
    let rows_of = order.iter().filter_map(|id| {
        let (built, link) = (topology.links.get(*id as usize)?, snapshot.links.get(*id as usize)?);
        let name = format!("{} – {}", built.a, built.b);
        Some(link_row(name, link))
    });
    let bar = Constraint::Length(BAR as u16 + 5);
    let wide = area.width >= 92;
    let name = Constraint::Min(if wide { 17 } else { 16 });
    // Where there is no room for all columns, the last one is left out, and others are as narrow as what they mostly hold.
    let rest: &[u16] = if wide { &[9, 11, 9, 7] } else { &[8, 9, 8] };
    let rest = rest.iter().copied().map(Constraint::Length);
    let widths = [name, bar, bar].into_iter().chain(rest);
    let head = Row::new(["link", "up", "down", "queued", "rate", "delay", "lost"]).dim();
    let title = format!(" links, the busiest of {} first ", topology.links.len());
    // Of a large fabric no more is made than is seen: up to the chosen one, and a screen.
    let place = order.iter().position(|id| Some(*id) == *chosen);
    let most = place.unwrap_or(0) + room + 1;
    let table = Table::new(rows_of.take(most), widths)
        .header(head)
        .block(Block::bordered().title(title))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    rows.select(place);
    frame.render_stateful_widget(table, area, rows);
}

fn link_row(name: String, link: &LinkNow) -> Row<'static> {
    let LinkNow { up, down, delay_us, .. } = link;
    let rate = if up.rate_bps == down.rate_bps {
        rate(up.rate_bps)
    } else {
        format!("{}/{}", rate(up.rate_bps), rate(down.rate_bps))
    };
    Row::new([
        Cell::from(name),
        Cell::from(bar(up)),
        Cell::from(bar(down)),
        Cell::from(bytes(up.queue_bytes + down.queue_bytes)),
        Cell::from(rate),
        Cell::from(micros(*delay_us)),
        Cell::from((up.dropped + down.dropped).to_string()),
    ])
}

/// A direction's load as a bar.
fn bar(way: &Way) -> Line<'static> {
    if way.down {
        return Line::styled("DOWN", Style::new().fg(Color::Red).bold());
    }
    let filled = (way.load * BAR as f64).round() as usize;
    let colour = match way.load {
        load if load < 0.5 => Color::Green,
        load if load < 0.85 => Color::Yellow,
        _ => Color::Red,
    };
    Line::from(vec![
        Span::styled("█".repeat(filled), Style::new().fg(colour)),
        Span::styled("·".repeat(BAR - filled), Style::new().dim()),
        Span::raw(format!("{:4.0}%", way.load * 100.0)),
    ])
}

fn draw_side(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let counters = &screen.snapshot.counters;
    let hosts = (counters.hosts.len() as u16 + 3).min(area.height / 3);
    let parts = [Constraint::Length(hosts), Constraint::Length(9), Constraint::Min(3)];
    let [top, middle, bottom] = if area.width >= 110 {
        Layout::horizontal([Constraint::Fill(1); 3]).areas(area)
    } else {
        Layout::vertical(parts).areas(area)
    };
    let rows = counters.hosts.iter().map(|host| {
        Row::new([
            format!("host:{}", host.host),
            host.address.clone(),
            host.sent_frames.to_string(),
            host.received_frames.to_string(),
        ])
    });
    let widths =
        [Constraint::Length(9), Constraint::Min(11), Constraint::Length(9), Constraint::Length(9)];
    let table = Table::new(rows, widths)
        .header(Row::new(["host", "address", "sent", "received"]).dim())
        .block(Block::bordered().title(" attached hosts, frames "));
    frame.render_widget(table, top);
    let block = Block::bordered().title(" frames and packets ");
    frame.render_widget(Paragraph::new(counted(screen)).block(block), middle);
    let recent = screen.snapshot.status.recent.iter().rev();
    let lines: Vec<Line<'_>> = recent
        .map(|change| Line::from(format!("{} {}", micros(change.emulated_us), change.what)))
        .collect();
    let title = format!(" changes, {} ", screen.snapshot.status.changes);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(title)), bottom);
}

fn counted(screen: &Screen) -> Vec<Line<'static>> {
    let counters = &screen.snapshot.counters;
    let (frames, totals) = (&counters.frames, &counters.totals);
    let taken = frames.taken.iter().filter(|(_, count)| **count > 0);
    let taken: Vec<String> = taken.map(|(kind, count)| format!("{count} {kind}")).collect();
    let lost = frames.lost_in + frames.lost_out;
    let refused = frames.dropped_nic + frames.dropped_paused + frames.undeliverable;
    vec![
        Line::from(format!(
            "taken {}",
            if taken.is_empty() { "0".into() } else { taken.join(", ") }
        )),
        Line::from(format!("handed over {}, marked {}", frames.delivered, frames.marked)),
        Line::from(format!("not taken {refused}, lost by this machine {lost}")),
        Line::from(format!("fabric: {} packets, {}", totals.packets, bytes(totals.bytes))),
        Line::from(format!("dropped {}, trimmed {}", totals.dropped, totals.trimmed)),
        Line::from(format!("marked {}", totals.ecn_marked)),
        Line::from(format!("queued now {}", bytes(totals.queue_bytes))),
    ]
}

/// Microseconds in the unit that suits them.
fn micros(us: f64) -> String {
    match us {
        _ if us >= 1e6 => format!("{:.1} s", us / 1e6),
        _ if us >= 1e3 => format!("{:.1} ms", us / 1e3),
        _ => format!("{} us", (us * 1e3).round() / 1e3),
    }
}

fn bytes(count: u64) -> String {
    match count as f64 {
        count if count >= 1e9 => format!("{:.1} GB", count / 1e9),
        count if count >= 1e6 => format!("{:.1} MB", count / 1e6),
        count if count >= 1e3 => format!("{:.1} kB", count / 1e3),
        count => format!("{count} B"),
    }
}

fn rate(bits: u64) -> String {
    // Rates are kept as times of bytes, so round ones may be off in the sixth digit.
    match bits as f64 {
        bits if bits >= 1e9 => format!("{} Gb/s", (bits / 1e7).round() / 100.0),
        bits => format!("{} Mb/s", (bits / 1e4).round() / 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::live::control::view::{Happened, Host, Link};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    /// A fabric of three links, the second of which is busy and the third down.
    fn screen() -> Screen {
        let link = |id| Link {
            id,
            a: format!("host:{id}"),
            b: "leaf:0".to_owned(),
            rate_bps: 1_000_000_000,
            delay_us: 2.0,
        };
        let topology = Topology {
            name: "lab".into(),
            links: (0..3).map(link).collect(),
            ..Topology::default()
        };
        let mut snapshot = Snapshot::default();
        for id in 0..3 {
            let way = Way { rate_bps: 1_000_000_000, ..Way::default() };
            let (up, down) = (way.clone(), way);
            snapshot.links.push(LinkNow { id, delay_us: 2.0, up, down, ..LinkNow::default() });
        }
        snapshot.links[1].up.load = 0.7;
        snapshot.links[1].up.queue_bytes = 3_000;
        snapshot.links[2].down.down = true;
        snapshot.status.state = State::Running;
        snapshot.status.emulated_us = 2_500_000.0;
        snapshot.status.lag.p99_us = 31.0;
        let what = "host:2 – leaf:0: down, downwards".to_owned();
        snapshot.status.recent.push(Happened { emulated_us: 1_000.0, what });
        snapshot.counters.frames.taken.insert("ipv4".into(), 42);
        let address = "10.0.0.1".to_owned();
        snapshot.counters.hosts.push(Host { address, sent_frames: 40, ..Host::default() });
        let mut screen = Screen::new(Arc::new(topology), Some("http://127.0.0.1:80/".into()));
        screen.look(Arc::new(snapshot));
        screen
    }

    fn drawn(screen: &mut Screen, (width, height): (u16, u16)) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| draw(frame, screen)).expect("drawn");
        terminal.backend().to_string()
    }

    /// On a wide and on a narrow terminal all figures are there; what is down and what is busy comes first.
    #[test]
    fn everything_is_drawn() {
        for size in [(130, 30), (80, 40)] {
            let mut screen = screen();
            let text = drawn(&mut screen, size);
            for part in [
                "Ultraloom live: lab",
                "running",
                "emulated 2.5 s",
                "p99 31",
                "http://127.0.0.1:80/",
                "███████···  70%",
                "DOWN",
                "3.0 kB",
                "1 Gb/s",
                "10.0.0.1",
                "42 ipv4",
                "1.0 ms host:2",
                "q stop",
            ] {
                assert!(text.contains(part), "{part} at {size:?} in\n{text}");
            }
            let place = |name: &str| text.find(&format!("{name} – leaf:0  ")).expect("a row");
            assert!(
                place("host:2") < place("host:1") && place("host:1") < place("host:0"),
                "{text}"
            );
        }
    }

    /// Arrows choose links in the order that is shown and stop at its ends; the choice stays with the link when the order changes.
    #[test]
    fn arrows_choose_links() {
        let mut screen = screen();
        assert_eq!(screen.chosen(), Some((0, false)));
        screen.step(-1);
        assert_eq!(screen.chosen(), Some((1, false)));
        screen.step(-5);
        assert_eq!(screen.chosen(), Some((2, true)), "what is down is first");
        screen.step(9);
        assert_eq!(screen.chosen(), Some((0, false)));
        let mut next = Snapshot::clone(&screen.snapshot);
        next.links[0].up.load = 1.0;
        screen.look(Arc::new(next));
        assert_eq!(screen.chosen(), Some((0, false)));
    }

    /// A terminal that is too small for anything is no reason to fail.
    #[test]
    fn small_terminals_do_not_break_it() {
        for size in [(1, 1), (20, 5), (300, 3)] {
            drawn(&mut screen(), size);
        }
    }
}
