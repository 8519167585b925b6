//! DCQCN: rate-based congestion control by marks (`roce-dcqcn.md` §2 and §3).

use fabric::units::{Rate, Span, Time};
use serde::{Deserialize, Serialize};

/// DCQCN's constants, paper form (`roce-dcqcn.md` §2). Rates in bits a second.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct PaperOptions {
    /// g: weight of a new mark in alpha.
    pub g: f64,
    /// K: alpha decays each such time without a notification.
    pub alpha_timer: Span,
    /// The rate increases each such time.
    pub rate_timer: Span,
    /// B: the rate increases each such number of bytes.
    pub byte_counter: u64,
    /// F: steps of fast recovery.
    pub fast_recovery: u32,
    /// R_AI: additive increase.
    pub rate_ai: f64,
    /// R_HAI: hyper increase.
    pub rate_hai: f64,
    /// Least rate.
    pub rate_min: f64,
}

/// DCQCN's constants, Mellanox form (`roce-dcqcn.md` §3). Rates in bits a second.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct MellanoxOptions {
    /// g: weight of a new mark in alpha.
    pub g: f64,
    /// Alpha is updated each such time.
    pub alpha_timer: Span,
    /// The rate falls at most once in each such time.
    pub decrease_timer: Span,
    /// The rate rises each such time.
    pub increase_timer: Span,
    /// Steps of fast recovery.
    pub fast_recovery: u32,
    /// R_AI: additive increase.
    pub rate_ai: f64,
    /// R_HAI: hyper increase.
    pub rate_hai: f64,
    /// Least rate.
    pub rate_min: f64,
    /// Whether the target rate is set down with the rate also at the first cut after an increase began.
    pub clamp_target: bool,
}

impl MellanoxOptions {
    /// Increases grow with the NIC's rate from those at 25 Gb/s; the least rate is 1/100 of it.
    pub fn at(rate: Rate) -> MellanoxOptions {
        let scale = rate.bits_per_second() as f64 / 25e9;
        MellanoxOptions {
            g: 1.0 / 256.0,
            alpha_timer: Span::from_micros(1),
            decrease_timer: Span::from_micros(4),
            increase_timer: Span::from_micros(300),
            fast_recovery: 1,
            rate_ai: 5e6 * scale,
            rate_hai: 50e6 * scale,
            rate_min: rate.bits_per_second() as f64 / 100.0,
            clamp_target: false,
        }
    }

    /// The same with the timers that the HPCC authors give for the paper.
    pub fn with_the_paper_timers(rate: Rate) -> MellanoxOptions {
        MellanoxOptions {
            alpha_timer: Span::from_micros(50),
            decrease_timer: Span::from_micros(50),
            increase_timer: Span::from_micros(55),
            ..MellanoxOptions::at(rate)
        }
    }
}

impl PaperOptions {
    /// Increases grow with the NIC's rate from those at 40 Gb/s.
    pub fn at(rate: Rate) -> PaperOptions {
        let scale = rate.bits_per_second() as f64 / 40e9;
        PaperOptions {
            g: 1.0 / 256.0,
            alpha_timer: Span::from_micros(55),
            rate_timer: Span::from_micros(55),
            byte_counter: 10_000_000,
            fast_recovery: 5,
            rate_ai: 40e6 * scale,
            rate_hai: 400e6 * scale,
            rate_min: rate.bits_per_second() as f64 / 1_000.0,
        }
    }
}

/// The published form: cut at once, alpha decays, timer and byte counter raise the rate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Paper {
    options: PaperOptions,
    line: f64,
    /// R_C.
    current: f64,
    /// R_T.
    target: f64,
    alpha: f64,
    /// Increases by timer since the last cut, T.
    timer_steps: u32,
    /// Increases by bytes since the last cut, BC.
    byte_steps: u32,
    bytes: u64,
    alpha_due: Time,
    rate_due: Time,
}

impl Paper {
    pub(super) fn new(options: PaperOptions, line: f64) -> Paper {
        Paper {
            options,
            line,
            current: line,
            target: line,
            alpha: 1.0,
            timer_steps: 0,
            byte_steps: 0,
            bytes: 0,
            alpha_due: Time::NEVER,
            rate_due: Time::NEVER,
        }
    }

    pub(super) fn rate(&self) -> f64 {
        self.current
    }

    #[inline]
    pub(super) fn catch_up(&mut self, now: Time) {
        while self.next_timer() <= now {
            self.on_timer(self.next_timer());
        }
    }

    fn next_timer(&self) -> Time {
        self.alpha_due.min(self.rate_due)
    }

    pub(super) fn on_mark(&mut self, now: Time) {
        let g = self.options.g;
        self.target = self.current;
        self.current = (self.current * (1.0 - self.alpha / 2.0)).max(self.options.rate_min);
        self.alpha = (1.0 - g) * self.alpha + g;
        self.timer_steps = 0;
        self.byte_steps = 0;
        self.bytes = 0;
        self.alpha_due = now + self.options.alpha_timer;
        self.rate_due = now + self.options.rate_timer;
    }

    pub(super) fn on_sent(&mut self, bytes: u64) {
        if self.current >= self.line {
            return;
        }
        self.bytes += bytes;
        if self.bytes >= self.options.byte_counter {
            self.bytes -= self.options.byte_counter;
            self.byte_steps += 1;
            self.increase();
        }
    }

    fn on_timer(&mut self, now: Time) {
        if self.alpha_due <= now {
            self.alpha *= 1.0 - self.options.g;
            self.alpha_due = now + self.options.alpha_timer;
        }
        if self.rate_due <= now {
            self.timer_steps += 1;
            self.rate_due = now + self.options.rate_timer;
            self.increase();
        }
    }

    fn increase(&mut self) {
        let (most, least) =
            (self.timer_steps.max(self.byte_steps), self.timer_steps.min(self.byte_steps));
        let recovery = self.options.fast_recovery;
        if least > recovery {
            self.target += f64::from(least - recovery) * self.options.rate_hai;
        } else if most >= recovery {
            self.target += self.options.rate_ai;
        }
        self.target = self.target.min(self.line);
        self.current = (self.target + self.current) / 2.0;
        // Halving the gap never closes it; within a millionth of line rate it is closed.
        if self.line - self.current < self.line * 1e-6 {
            self.current = self.line;
            self.alpha_due = Time::NEVER;
            self.rate_due = Time::NEVER;
        }
    }
}

/// The form of Mellanox NICs: marks set flags, timers act on them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mellanox {
    options: MellanoxOptions,
    line: f64,
    current: f64,
    target: f64,
    alpha: f64,
    /// A mark since the last alpha update.
    alpha_flag: bool,
    /// A mark since the last decrease check.
    decrease_flag: bool,
    marked_before: bool,
    /// Increases since the last cut.
    stage: u32,
    alpha_due: Time,
    decrease_due: Time,
    increase_due: Time,
}

impl Mellanox {
    pub(super) fn new(options: MellanoxOptions, line: f64) -> Mellanox {
        Mellanox {
            options,
            line,
            current: line,
            target: line,
            alpha: 1.0,
            alpha_flag: false,
            decrease_flag: false,
            marked_before: false,
            stage: 0,
            alpha_due: Time::NEVER,
            decrease_due: Time::NEVER,
            increase_due: Time::NEVER,
        }
    }

    pub(super) fn rate(&self) -> f64 {
        self.current
    }

    #[inline]
    pub(super) fn catch_up(&mut self, now: Time) {
        while self.next_timer() <= now {
            self.on_timer(self.next_timer());
        }
    }

    fn next_timer(&self) -> Time {
        self.alpha_due.min(self.decrease_due).min(self.increase_due)
    }

    pub(super) fn on_mark(&mut self, now: Time) {
        if !self.marked_before {
            self.marked_before = true;
            self.alpha = 1.0;
            self.alpha_flag = false;
            self.decrease_flag = true;
            self.alpha_due = now + self.options.alpha_timer;
            // One nanosecond later, so that alpha is updated first.
            self.decrease_due = now + self.options.decrease_timer + Span::from_nanos(1);
            return;
        }
        self.alpha_flag = true;
        self.decrease_flag = true;
    }

    fn on_timer(&mut self, now: Time) {
        if self.alpha_due <= now {
            let g = self.options.g;
            self.alpha = (1.0 - g) * self.alpha + if self.alpha_flag { g } else { 0.0 };
            self.alpha_flag = false;
            self.alpha_due = now + self.options.alpha_timer;
        }
        if self.decrease_due <= now {
            self.decrease_due = now + self.options.decrease_timer;
            if self.decrease_flag {
                self.decrease(now);
            }
        }
        if self.increase_due <= now {
            self.increase();
            self.increase_due = now + self.options.increase_timer;
        }
    }

    fn decrease(&mut self, now: Time) {
        if self.options.clamp_target || self.stage != 0 {
            self.target = self.current;
        }
        self.current = (self.current * (1.0 - self.alpha / 2.0)).max(self.options.rate_min);
        self.stage = 0;
        self.decrease_flag = false;
        self.increase_due = now + self.options.increase_timer;
    }

    fn increase(&mut self) {
        let recovery = self.options.fast_recovery;
        let step = match self.stage {
            stage if stage < recovery => 0.0,
            stage if stage == recovery => self.options.rate_ai,
            _ => self.options.rate_hai,
        };
        self.target = (self.target + step).min(self.line);
        self.current = (self.current + self.target) / 2.0;
        self.stage += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: f64 = 40e9;

    fn paper() -> Paper {
        Paper::new(PaperOptions::at(Rate::from_gbps(40)), LINE)
    }

    fn mellanox() -> Mellanox {
        Mellanox::new(MellanoxOptions::at(Rate::from_gbps(25)), 25e9)
    }

    /// The first notification halves the rate; fast recovery averages back towards the old one.
    #[test]
    fn the_paper_form_halves_and_recovers() {
        let mut dcqcn = paper();
        dcqcn.on_mark(Time(0));
        assert_eq!((dcqcn.current, dcqcn.target), (20e9, 40e9));
        dcqcn.on_timer(Time(55_000_000));
        assert_eq!(dcqcn.current, 30e9);
        dcqcn.on_timer(Time(110_000_000));
        assert_eq!(dcqcn.current, 35e9);
        assert!((dcqcn.alpha - (1.0f64 - 1.0 / 256.0) * (1.0 - 1.0 / 256.0)).abs() < 1e-12);
    }

    /// After F steps by timer the target rises by R_AI, after F by timer and bytes by multiples of R_HAI.
    #[test]
    fn the_paper_form_increases_additively_then_fast() {
        let mut dcqcn = paper();
        (dcqcn.current, dcqcn.target, dcqcn.timer_steps) = (1e9, 2e9, 4);
        (dcqcn.rate_due, dcqcn.alpha_due) = (Time(1), Time::NEVER);
        dcqcn.on_timer(Time(1));
        assert_eq!((dcqcn.target, dcqcn.current), (2.04e9, 1.52e9));
        (dcqcn.timer_steps, dcqcn.byte_steps) = (7, 6);
        dcqcn.on_sent(10_000_000);
        assert_eq!(dcqcn.target, 2.04e9 + 2.0 * 400e6);
    }

    /// Alpha is updated before the rate falls, and the rate falls once in its time however many marks
    /// come.
    #[test]
    fn the_mellanox_form_cuts_once_a_period() {
        let mut dcqcn = mellanox();
        (0..5).for_each(|mark| dcqcn.on_mark(Time(mark)));
        let mut now = Time(0);
        while dcqcn.alpha_due.min(dcqcn.decrease_due) <= Time(4_001_000) {
            now = dcqcn.alpha_due.min(dcqcn.decrease_due);
            dcqcn.on_timer(now);
        }
        assert_eq!(now, Time(4_001_000));
        // Marks at once set the flag for the first update: alpha stays one, then decays thrice.
        let alpha = (1.0f64 - 1.0 / 256.0) * (1.0 - 1.0 / 256.0) * (1.0 - 1.0 / 256.0);
        assert!((dcqcn.alpha - alpha).abs() < 1e-12, "{}", dcqcn.alpha);
        assert!((dcqcn.current - 25e9 * (1.0 - alpha / 2.0)).abs() < 1.0);
        dcqcn.on_timer(dcqcn.decrease_due);
        assert!((dcqcn.current - 25e9 * (1.0 - alpha / 2.0)).abs() < 1.0, "no mark, no cut");
    }

    /// The rate rises by averaging first, then by R_AI once, then by R_HAI.
    #[test]
    fn the_mellanox_form_rises_by_stages() {
        let mut dcqcn = mellanox();
        (dcqcn.current, dcqcn.target) = (10e9, 20e9);
        dcqcn.increase();
        assert_eq!((dcqcn.current, dcqcn.target), (15e9, 20e9));
        dcqcn.increase();
        assert_eq!(dcqcn.target, 20e9 + 5e6);
        dcqcn.increase();
        assert_eq!(dcqcn.target, 20e9 + 55e6);
    }
}
