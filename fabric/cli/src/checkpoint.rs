//! Checkpoints: what a run that was stopped, by whatever, needs to go on.
//!
//! They stand beside the output folder, in `NAME.checkpoint`, until the run is complete:
//!
//! - `about.json`: the program and how the fabric is cut; `scenario.toml`: the scenario as resolved
//! - `done-K`: the record of the K-th run of the scenario, which is finished
//! - `run-K-N`: the N-th state of the K-th run, a file for what all shards share and one for each shard
//! - `current`: which of the states is whole; it is replaced once all ranks have written theirs
//! - `partial`: the output folder, until it is complete
//!
//! A state can be taken up with any number of threads and ranks; shards are those it was written with.

use std::cell::Cell;
use std::fs;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fabric::engine::ranks::Ranks;
use fabric::run::Run;
use fabric::units::{Span, Time, parse_span};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use transports::AnyEndpoint;
use workloads::AnyProgram;

use crate::error::UserError;
use crate::execute::Cut;

/// How often the state is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Every {
    /// After so much simulated time.
    Simulated(Span),
    /// After so much time on the clock.
    Clock(Duration),
}

/// Reads `50 us`, simulated time, or `10 min wall`, time on the clock.
///
/// # Errors
/// When it is neither, or zero.
pub fn parse_every(text: &str) -> Result<Every, String> {
    let Some(clock) = text.trim().strip_suffix("wall") else {
        let span = parse_span(text).map_err(|error| format!("{error}; or `10 min wall`"))?;
        return match span {
            Span::ZERO => Err("must be more than zero".to_owned()),
            span => Ok(Every::Simulated(span)),
        };
    };
    let clock = clock.trim();
    let digits = clock.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(clock.len());
    let (number, unit) = clock.split_at(digits);
    let scale = match unit.trim() {
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3_600.0,
        _ => {
            return Err(format!(
                "`{clock}` on the clock: a number with s, min or h, like `10 min wall`"
            ));
        }
    };
    let seconds = number.parse().map_or(0.0, |number: f64| number * scale);
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(Every::Clock(duration)),
        _ => Err(format!("`{number}` is no number above zero")),
    }
}

/// What must be the same for a state to mean anything.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct About {
    version: String,
    /// Of the program's own file: states are its memory, laid out as it does.
    program: u64,
    cut: Cut,
}

/// The folder of a run's checkpoints. Rank 0 writes what all share.
#[derive(Serialize, Deserialize)]
pub struct Checkpoints {
    folder: PathBuf,
    every: Option<Every>,
    about: About,
    /// The state to take up: which run, which state of it.
    current: Option<(usize, u64)>,
    /// States written so far.
    written: Cell<u64>,
}

/// Whether a run has begun to keep its checkpoints in this folder.
pub fn is_begun(folder: &Path) -> bool {
    folder.join("about.json").is_file()
}

/// Where the checkpoints of an output folder stand.
pub fn beside(place: &Path) -> PathBuf {
    let mut name = place.file_name().unwrap_or_default().to_os_string();
    name.push(".checkpoint");
    place.with_file_name(name)
}

impl Checkpoints {
    /// Begins a folder for a run that is so cut.
    ///
    /// # Errors
    /// When it cannot be made, or an earlier run has left one.
    pub fn begin(
        folder: PathBuf,
        every: Option<Every>,
        scenario: &str,
        cut: Cut,
    ) -> Result<Checkpoints, UserError> {
        if is_begun(&folder) {
            let text = format!("{} is there from a run that was stopped", folder.display());
            return Err(UserError::new(text).help("go on with it by --resume, or remove it"));
        }
        // What is there otherwise was killed before it had anything.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|error| cannot("make", &folder, &error))?;
        let about = About { version: version(), program: program()?, cut };
        write(&folder.join("scenario.toml"), scenario.as_bytes())?;
        let text = serde_json::to_vec_pretty(&about).unwrap_or_default();
        write(&folder.join("about.json"), &text)?;
        Ok(Checkpoints { folder, every, about, current: None, written: Cell::new(0) })
    }

    /// Opens the folder that a stopped run of the same scenario has left.
    ///
    /// # Errors
    /// When it is of another program or scenario.
    pub fn open(
        folder: PathBuf,
        every: Option<Every>,
        scenario: &str,
    ) -> Result<Checkpoints, UserError> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(|error| cannot("read", &path, &error))
        };
        let about: About = serde_json::from_str(&read("about.json")?).map_err(|error| {
            UserError::new(format!("{} is damaged: {error}", folder.join("about.json").display()))
        })?;
        let help = "start again without --resume, with another --out, or remove the checkpoint";
        if about.version != version() || about.program != program()? {
            let text = format!(
                "{} was written by another build of this program, version {}",
                folder.display(),
                about.version
            );
            return Err(UserError::new(text).help(help));
        }
        let stored = read("scenario.toml")?;
        if let Some((then, now)) = first_difference(&stored, scenario) {
            let text = format!(
                "{} is of another scenario: it has `{then}` where this one has `{now}`",
                folder.display()
            );
            return Err(UserError::new(text).help(help));
        }
        let current = fs::read_to_string(folder.join("current")).ok();
        let current = current.and_then(|text| {
            let (run, state) = text.trim().split_once(' ')?;
            Some((run.parse().ok()?, state.parse().ok()?))
        });
        let written = current.map_or(0, |(_, state)| state + 1);
        Ok(Checkpoints { folder, every, about, current, written: Cell::new(written) })
    }

    /// How the run was cut when it began.
    pub fn cut(&self) -> Cut {
        self.about.cut
    }

    /// How often the clock asks for a state.
    pub fn clock(&self) -> Option<Duration> {
        match self.every {
            Some(Every::Clock(duration)) => Some(duration),
            _ => None,
        }
    }

    /// The simulated time from which on the state is to be stored next.
    pub fn pause_after(&self, now: Time) -> Time {
        match self.every {
            Some(Every::Simulated(span)) => Time((now.0 / span.0 + 1).saturating_mul(span.0)),
            _ => Time::NEVER,
        }
    }

    /// What the `run`-th run gave, if it is finished.
    ///
    /// # Errors
    /// When what is there cannot be read.
    pub fn done<T: DeserializeOwned>(&self, run: usize) -> Result<Option<T>, UserError> {
        let path = self.folder.join(format!("done-{run}"));
        if !path.exists() {
            return Ok(None);
        }
        let bytes = fs::read(&path).map_err(|error| cannot("read", &path, &error))?;
        postcard::from_bytes(&bytes).map(Some).map_err(|error| damaged(&path, error))
    }

    /// Keeps what the `run`-th run gave; its states are not needed any more.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_done(&self, run: usize, result: &impl Serialize) -> Result<(), UserError> {
        let path = self.folder.join(format!("done-{run}"));
        let bytes = postcard::to_stdvec(result).map_err(|error| damaged(&path, error))?;
        write(&path, &bytes)?;
        self.remove_states(None);
        Ok(())
    }

    /// Takes up the state of the `run`-th run, if there is one; returns the seconds that it had run.
    ///
    /// # Errors
    /// When the state is damaged.
    pub fn take_up(
        &self,
        run: usize,
        engine: &mut Run<AnyEndpoint, AnyProgram>,
    ) -> Result<Option<f64>, UserError> {
        let Some((_, state)) = self.current.filter(|(current, _)| *current == run) else {
            return Ok(None);
        };
        let folder = self.state(run, state);
        let read = |name: String| {
            let path = folder.join(name);
            let bytes = fs::read(&path).map_err(|error| cannot("read", &path, &error))?;
            Ok((path, bytes))
        };
        let (path, whole) = read("all".to_owned())?;
        let (seconds, whole) =
            whole.split_first_chunk().ok_or_else(|| damaged(&path, "it is too short"))?;
        engine.take_up_whole(whole).map_err(|error| damaged(&path, error))?;
        for shard in engine.own_shards() {
            let (path, bytes) = read(format!("shard-{shard}"))?;
            engine.take_up_shard(shard, &bytes).map_err(|error| damaged(&path, error))?;
        }
        Ok(Some(f64::from_le_bytes(*seconds)))
    }

    /// Stores the state of the `run`-th run, which has run for so many seconds. All ranks have to call it.
    ///
    /// # Errors
    /// When this rank could not; the state before it stays in force then.
    pub fn keep<R: Ranks>(
        &self,
        run: usize,
        engine: &Run<AnyEndpoint, AnyProgram>,
        seconds: f64,
        ranks: &R,
    ) -> Result<(), UserError> {
        let state = self.written.get();
        self.written.set(state + 1);
        let folder = self.state(run, state);
        let outcome = self.write_state(&folder, engine, seconds, ranks.is_first());
        let failed = ranks.first_failure(outcome.as_ref().err().map(|error| &*error.message));
        if failed.is_none() && ranks.is_first() {
            write(&self.folder.join("current"), format!("{run} {state}\n").as_bytes())?;
            self.remove_states(Some(&folder));
        }
        outcome
    }

    fn write_state(
        &self,
        folder: &Path,
        engine: &Run<AnyEndpoint, AnyProgram>,
        seconds: f64,
        first: bool,
    ) -> Result<(), UserError> {
        fs::create_dir_all(folder).map_err(|error| cannot("make", folder, &error))?;
        let unstored = |error: fabric::store::StoreError| UserError::new(error.to_string());
        if first {
            let mut all = seconds.to_le_bytes().to_vec();
            all.extend(engine.store_whole().map_err(unstored)?);
            write(&folder.join("all"), &all)?;
        }
        for shard in engine.own_shards() {
            let bytes = engine.store_shard(shard).map_err(unstored)?;
            write(&folder.join(format!("shard-{shard}")), &bytes)?;
        }
        Ok(())
    }

    fn state(&self, run: usize, state: u64) -> PathBuf {
        self.folder.join(format!("run-{run}-{state}"))
    }

    /// Removes all states but one. What cannot be removed is in nobody's way.
    fn remove_states(&self, but: Option<&Path>) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let is_state = entry.file_name().to_string_lossy().starts_with("run-");
            if is_state && but != Some(&entry.path()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Where the output folder is written.
    pub fn partial(&self) -> PathBuf {
        self.folder.join("partial")
    }

    /// Hands all ranks what the first one has.
    pub fn share<R: Ranks>(own: Option<Checkpoints>, ranks: &R) -> Option<Checkpoints> {
        if ranks.count() == 1 {
            return own;
        }
        let bytes = ranks.share(postcard::to_stdvec(&own).unwrap_or_default());
        own.or_else(|| postcard::from_bytes(&bytes).ok().flatten())
    }

    /// The run is complete: nothing of this is needed any more.
    pub fn remove(self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// A hash of the program's file.
fn program() -> Result<u64, UserError> {
    let failed = |error: std::io::Error| UserError::new(format!("cannot read myself: {error}"));
    let mut file = fs::File::open(std::env::current_exe().map_err(failed)?).map_err(failed)?;
    let mut hasher = std::hash::DefaultHasher::new();
    let mut part = vec![0; 1 << 16];
    loop {
        match std::io::Read::read(&mut file, &mut part).map_err(failed)? {
            0 => return Ok(hasher.finish()),
            length => hasher.write(&part[..length]),
        }
    }
}

/// The first lines in which two texts differ.
fn first_difference(then: &str, now: &str) -> Option<(String, String)> {
    let mut lines = [then.lines(), now.lines()];
    loop {
        match lines.each_mut().map(Iterator::next) {
            [None, None] => return None,
            [then, now] if then != now => {
                return Some((then.unwrap_or("").to_owned(), now.unwrap_or("").to_owned()));
            }
            _ => {}
        }
    }
}

/// Writes a file so that it is there whole or not at all, whatever happens.
fn write(path: &Path, content: &[u8]) -> Result<(), UserError> {
    let partial = path.with_extension("partial");
    let written = fs::File::create(&partial).and_then(|mut file| {
        std::io::Write::write_all(&mut file, content)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&partial, path)).map_err(|error| cannot("write", path, &error))
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> UserError {
    UserError::new(format!("cannot {what} {}: {error}", path.display()))
}

fn damaged(path: &Path, error: impl std::fmt::Display) -> UserError {
    let help = "remove the checkpoint and start again";
    UserError::new(format!("{} is damaged: {error}", path.display())).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulated time and time on the clock are told apart, and what is neither is refused.
    #[test]
    fn intervals_are_simulated_or_on_the_clock() {
        assert_eq!(parse_every("50 us"), Ok(Every::Simulated(Span::from_micros(50))));
        assert_eq!(parse_every("10 min wall"), Ok(Every::Clock(Duration::from_secs(600))));
        assert_eq!(parse_every("1.5h wall"), Ok(Every::Clock(Duration::from_secs(5_400))));
        for wrong in ["", "0 us", "10 min", "10 wall", "0 s wall", "x s wall", "5 us wall"] {
            assert!(parse_every(wrong).is_err(), "{wrong}");
        }
    }

    /// The first line that differs is named, also when one text is longer.
    #[test]
    fn differences_are_found() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb", "a\nc"), Some(("b".into(), "c".into())));
        assert_eq!(first_difference("a", "a\nc"), Some((String::new(), "c".into())));
    }
}
