//! The PFC watchdog of a switch: a queue that its peer has paused without a break for too long is
//! emptied, and drops what comes, until the pauses are over (`roce-dcqcn.md` §4.4; as switch operating
//! systems have it).

use serde::{Deserialize, Serialize};

use crate::config::WatchdogConfig;
use crate::packet::CLASSES;
use crate::units::Time;

/// One class of one egress port.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Watched {
    /// When the watchdog looks at it; `NEVER` while it is not paused and drops nothing.
    due: Time,
    paused: bool,
    dropping: bool,
}

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It was paused for as long as is allowed.
    Paused,
    /// It drops no more.
    Restored,
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Watchdog {
    config: WatchdogConfig,
    ports: Vec<[Watched; CLASSES]>,
}

const QUIET: Watched = Watched { due: Time::NEVER, paused: false, dropping: false };

impl Watchdog {
    /// A watchdog for so many ports.
    pub(crate) fn new(config: WatchdogConfig, ports: usize) -> Watchdog {
        Watchdog { config, ports: vec![[QUIET; CLASSES]; ports] }
    }

    /// When it looks next.
    pub(crate) fn next(&self) -> Time {
        self.ports.iter().flatten().map(|watched| watched.due).min().unwrap_or(Time::NEVER)
    }

    /// Whether what comes for this queue is dropped.
    pub(crate) fn drops(&self, place: usize, class: usize) -> bool {
        self.ports[place][class].dropping
    }

    /// The peer of a port pauses these classes from now on; returns when to look next.
    pub(crate) fn note(&mut self, now: Time, place: usize, paused: u8) -> Time {
        for (class, watched) in self.ports[place].iter_mut().enumerate() {
            let is = paused & (1 << class) != 0;
            if is != watched.paused {
                watched.paused = is;
                if !watched.dropping {
                    watched.due = if is { now + self.config.detect } else { Time::NEVER };
                }
            }
        }
        self.next()
    }

    /// The next queue that is due at `now`, and what is to be done; until there is none.
    pub(crate) fn look(&mut self, now: Time) -> Option<(usize, usize, Verdict)> {
        let WatchdogConfig { detect, restore } = self.config;
        for (place, classes) in self.ports.iter_mut().enumerate() {
            for (class, watched) in classes.iter_mut().enumerate() {
                if watched.due > now {
                    continue;
                }
                let verdict = match (watched.dropping, watched.paused) {
                    (true, true) => {
                        watched.due = now + restore;
                        continue;
                    }
                    (true, false) => Verdict::Restored,
                    (false, _) => Verdict::Paused,
                };
                watched.dropping = false;
                watched.due = if watched.paused { now + detect } else { Time::NEVER };
                return Some((place, class, verdict));
            }
        }
        None
    }

    /// What comes for this queue is dropped from now on.
    pub(crate) fn bite(&mut self, now: Time, place: usize, class: usize) {
        let watched = &mut self.ports[place][class];
        watched.dropping = true;
        watched.due = now + self.config.restore;
    }

    /// All is forgotten; returns when to look next.
    pub(crate) fn clear(&mut self) -> Time {
        self.ports.fill([QUIET; CLASSES]);
        Time::NEVER
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;

    const DATA: usize = 1;
    const CONFIG: WatchdogConfig = WatchdogConfig { detect: Span(100), restore: Span(50) };

    /// Only a pause without a break counts; what drops does so until a look finds no pause.
    #[test]
    fn a_long_pause_is_a_storm() {
        let mut watchdog = Watchdog::new(CONFIG, 3);
        assert_eq!(watchdog.next(), Time::NEVER);
        assert_eq!(watchdog.note(Time(10), 2, 1 << DATA), Time(110));
        assert_eq!(watchdog.note(Time(90), 2, 0), Time::NEVER);
        assert_eq!(watchdog.note(Time(95), 2, 1 << DATA), Time(195));
        assert_eq!(watchdog.note(Time(96), 2, 1 << DATA), Time(195), "said again");
        assert_eq!(watchdog.look(Time(195)), Some((2, DATA, Verdict::Paused)));
        watchdog.bite(Time(195), 2, DATA);
        assert!(watchdog.drops(2, DATA) && !watchdog.drops(1, DATA));
        assert_eq!(watchdog.look(Time(195)), None);
        assert_eq!(watchdog.look(Time(245)), None, "still paused");
        assert_eq!(watchdog.next(), Time(295));
        watchdog.note(Time(250), 2, 0);
        assert_eq!(watchdog.look(Time(295)), Some((2, DATA, Verdict::Restored)));
        assert!(!watchdog.drops(2, DATA) && watchdog.next() == Time::NEVER);
    }
}
