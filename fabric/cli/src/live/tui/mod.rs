//! A live session on a terminal: a thread that draws what the loop shows, and orders what keys ask for.
//!
//! - this file: the thread and its keys; `draw`: what is seen

mod draw;

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ::live::control::view::{State, Topology};
use ::live::control::{Order, Remote};
use ::live::motor::Action;
use fabric::fault::{Change, Direction, Fault};
use fabric::ids::LinkId;
use fabric::units::Time;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::error::UserError;
use draw::Screen;

/// How long it waits for a key before it draws again.
const PATIENCE: Duration = Duration::from_millis(100);

/// Refuses what is no terminal.
///
/// # Errors
/// When standard output or input is something else.
pub(super) fn check() -> Result<(), UserError> {
    if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        return Ok(());
    }
    let text = "`--tui` needs a terminal, and standard output or input is none";
    Err(UserError::new(text).help("leave it out, or use --control and a browser"))
}

/// The view, until it is dropped.
pub(super) struct Terminal {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Begins to show a session; `place` is where it is served, if it is.
    ///
    /// # Errors
    /// When the terminal cannot be drawn on.
    pub(super) fn start(
        remote: Remote,
        topology: Arc<Topology>,
        place: Option<String>,
    ) -> Result<Terminal, UserError> {
        let terminal = ratatui::try_init()
            .map_err(|error| UserError::new(format!("cannot draw on this terminal: {error}")))?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let show = move || show(terminal, &remote, Screen::new(topology, place), &told);
        Ok(Terminal { stop, thread: Some(std::thread::spawn(show)) })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        ratatui::restore();
    }
}

fn show(mut terminal: DefaultTerminal, remote: &Remote, mut screen: Screen, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        screen.look(remote.view());
        // A terminal that is gone is nobody's to mend: the session goes on without it.
        if terminal.draw(|frame| draw::draw(frame, &mut screen)).is_err() {
            return;
        }
        if !event::poll(PATIENCE).unwrap_or(false) {
            continue;
        }
        if let Ok(Event::Key(key)) = event::read()
            && key.kind == KeyEventKind::Press
        {
            press(key, remote, &mut screen);
        }
    }
}

/// What a key asks for.
fn press(key: KeyEvent, remote: &Remote, screen: &mut Screen) {
    let is_interrupt = key.modifiers.contains(KeyModifiers::CONTROL);
    let order = match key.code {
        KeyCode::Char('c') if is_interrupt => Order::Stop,
        KeyCode::Char('q') => Order::Stop,
        KeyCode::Char('p') if screen.state() == State::Paused => Order::Resume,
        KeyCode::Char('p') => Order::Pause,
        KeyCode::Char('d') => match screen.chosen() {
            Some((link, is_down)) => turn(link, is_down),
            None => return,
        },
        KeyCode::Up => return screen.step(-1),
        KeyCode::Down => return screen.step(1),
        KeyCode::PageUp => return screen.step(-10),
        KeyCode::PageDown => return screen.step(10),
        _ => return,
    };
    let answered = remote.order(order).and_then(|answer| {
        // The loop answers before its next window, unless it is over.
        answer.blocking_recv().unwrap_or(Ok(()))
    });
    screen.say(answered.err().map(|error| error.to_string()));
}

/// A link that is down comes up, another goes down.
fn turn(link: u32, is_down: bool) -> Order {
    let change = if is_down { Change::Up } else { Change::Down };
    let (at, link, direction) = (Time::ZERO, LinkId(link), Direction::Both);
    Order::Change(vec![Action::Link(Fault { at, link, direction, change })])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without a terminal there is nothing to draw on, and that is said. (Tests have none for input or output.)
    #[test]
    fn a_terminal_is_needed() {
        if let Err(error) = check() {
            assert!(error.message.contains("needs a terminal"));
        }
    }

    /// The key for links takes one down and brings it up.
    #[test]
    fn links_are_turned() {
        let change = |order: Order| match order {
            Order::Change(actions) => match actions[0] {
                Action::Link(fault) => (fault.link.0, fault.change),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        assert_eq!(change(turn(7, false)), (7, Change::Down));
        assert_eq!(change(turn(7, true)), (7, Change::Up));
    }
}
