//! The `[[fault]]` tables of a scenario.

use std::sync::Arc;

use fabric::fault::{Change, Direction};
use fabric::units::{Ratio, Span};

use crate::error::{Origin, Source, UserError};
use crate::scenario::model::{Fault, FaultKind, LinkName, SwitchName};
use crate::scenario::sections::{MANY, errors};
use crate::scenario::tree::{self, Item, Section, Value};

#[derive(Clone, Copy)]
enum Harm {
    Down,
    Up,
    Flap,
    Rate,
    SwitchDown,
    SwitchUp,
    DegradeCore,
    Random,
    Periodic,
    Errors,
}

const HARMS: [(&str, Harm); 10] = [
    ("link-down", Harm::Down),
    ("link-up", Harm::Up),
    ("link-flap", Harm::Flap),
    ("link-rate", Harm::Rate),
    ("switch-down", Harm::SwitchDown),
    ("switch-up", Harm::SwitchUp),
    ("degrade-core-links", Harm::DegradeCore),
    ("drop-random", Harm::Random),
    ("drop-periodic", Harm::Periodic),
    ("bit-errors", Harm::Errors),
];

/// Most times a link flaps: each is two events for every run.
const MOST_FLAPS: u64 = 1 << 20;

pub(super) fn faults(top: &Section<'_>) -> Result<Vec<Fault>, UserError> {
    let tables = top.tables("fault")?;
    tables.into_iter().map(|(section, item)| fault(&section, item)).collect()
}

/// A fault given by itself, with the keys of a table: a TOML text.
///
/// # Errors
/// What is wrong with it; keys in the message are those of `fault`.
pub fn single(source: &Arc<Source>) -> Result<Fault, UserError> {
    let item = tree::parse(source)?;
    let Value::Table(table) = &item.value else { unreachable!("a TOML text is a table") };
    fault(&Section::new("fault", table), &item)
}

fn fault(section: &Section<'_>, item: &Item) -> Result<Fault, UserError> {
    let missing =
        |key: &str| UserError::at(&item.origin, format!("`{}` is missing", section.name(key)));
    let ratio = || section.ratio("ratio", 1.0)?.ok_or_else(|| missing("ratio"));
    let span = |key| section.span(key)?.ok_or_else(|| missing(key));
    let link = || link_name(section, &item.origin);
    let at = section.span("at")?.unwrap_or(Span::ZERO);
    let until = || until(section, at);
    let one = |change, end: Option<Change>| {
        let end = end.map(|end| Ok(until()?.map(|until| (until, end)))).transpose()?.flatten();
        Ok(FaultKind::Link { link: Some(link()?), direction: direction(section)?, change, end })
    };
    let loss = |change, end| {
        let link = section.get("link").map(|_| link()).transpose()?;
        let end = until()?.map(|until| (until, end));
        Ok(FaultKind::Link { link, direction: direction(section)?, change, end })
    };
    let rate = |ratio| Change::Rate { ratio, queues: false };
    let kind = match section.word("kind", &HARMS)?.ok_or_else(|| missing("kind"))? {
        Harm::Down => one(Change::Down, Some(Change::Up))?,
        Harm::Up => one(Change::Up, None)?,
        Harm::Rate => one(rate(ratio()?), Some(rate(Ratio::ONE)))?,
        Harm::Flap => {
            let (period, down) = (span("period")?, span("down")?);
            if let Some(item) = section.get("down")
                && down >= period
            {
                return Err(section.wrong("down", item, &format!("less than `period`, {period}")));
            }
            let count = section.count("count", 1, MOST_FLAPS)?.ok_or_else(|| missing("count"))?;
            FaultKind::Flap { link: link()?, period, down, count: count as u32 }
        }
        Harm::SwitchDown => {
            let switch = switch_name(section, item)?;
            FaultKind::Switch { switch, up: false, until: until()? }
        }
        Harm::SwitchUp => {
            FaultKind::Switch { switch: switch_name(section, item)?, up: true, until: None }
        }
        Harm::DegradeCore => FaultKind::DegradeCoreLinks {
            count: section.count("count", 1, MANY)?.ok_or_else(|| missing("count"))? as usize,
            ratio: ratio()?,
        },
        Harm::Random => loss(Change::DropRandom(ratio()?), Change::DropRandom(Ratio::new(0, 1)))?,
        Harm::Periodic => {
            let every = section.count("every", 1, MANY)?.ok_or_else(|| missing("every"))?;
            loss(Change::DropPeriodic(every as u32), Change::DropPeriodic(0))?
        }
        Harm::Errors => {
            let errors = errors(section)?.ok_or_else(|| {
                missing("ber").help("give `ber` (bits in error) or `fer` (frames in error)")
            })?;
            loss(Change::Errors(Some(errors)), Change::Errors(None))?
        }
    };
    section.finish()?;
    Ok(Fault { at, kind, origin: item.origin.clone() })
}

/// When a fault that begins at `at` ends, if it does.
fn until(section: &Section<'_>, at: Span) -> Result<Option<Span>, UserError> {
    let until = section.span("until")?;
    if let (Some(until), Some(item)) = (until, section.get("until"))
        && until <= at
    {
        return Err(section.wrong("until", item, &format!("later than `at`, {at}")));
    }
    Ok(until)
}

fn direction(section: &Section<'_>) -> Result<Direction, UserError> {
    let directions = [("both", Direction::Both), ("up", Direction::Up), ("down", Direction::Down)];
    Ok(section.word("direction", &directions)?.unwrap_or(Direction::Both))
}

fn switch_name(section: &Section<'_>, table: &Item) -> Result<SwitchName, UserError> {
    let name = section.text("switch")?;
    let name = name.zip(section.get("switch").map(|item| item.origin.clone()));
    let (name, origin) = name.ok_or_else(|| {
        UserError::at(&table.origin, format!("`{}` is missing", section.name("switch")))
    })?;
    Ok(SwitchName { name, origin })
}

fn link_name(section: &Section<'_>, origin: &Origin) -> Result<LinkName, UserError> {
    let form = "the names of both ends, like [\"tor:0\", \"agg:1\"]";
    match section.get("link") {
        Some(Item { value: Value::List(ends), .. }) => match ends.as_slice() {
            [Item { value: Value::Text(a), .. }, Item { value: Value::Text(b), .. }] => {
                Ok(LinkName { a: a.clone(), b: b.clone() })
            }
            _ => Err(UserError::at(origin, format!("`{}` is not {form}", section.name("link")))),
        },
        Some(item) => Err(section.wrong("link", item, form)),
        None => Err(UserError::at(origin, format!("`{}` is missing", section.name("link")))),
    }
}
