//! The `[capture]` section of a scenario.

use fabric::units::Span;

use crate::error::UserError;
use crate::scenario::model::{Capture, PortName};
use crate::scenario::tree::{Item, Section, Value};

/// Frames of a file, unless said otherwise: some hundred megabytes of full packets.
const FRAMES: u64 = 100_000;
/// Most frames that can be asked for: each is kept until its run has ended.
const MOST_FRAMES: u64 = 100_000_000;

/// What is captured; `None` without `ports`.
pub(super) fn capture(section: &Section<'_>) -> Result<Option<Capture>, UserError> {
    let Some(item) = section.get("ports") else {
        section.finish()?;
        return Ok(None);
    };
    let from = section.span("from")?.unwrap_or(Span::ZERO);
    let until = section.span("until")?;
    if let (Some(until), Some(item)) = (until, section.get("until"))
        && until <= from
    {
        return Err(section.wrong("until", item, &format!("later than `from`, {from}")));
    }
    let capture = Capture {
        ports: ports(section, item)?,
        from,
        until,
        frames: section.count("frames", 1, MOST_FRAMES)?.unwrap_or(FRAMES),
        snap: section.count("snap", 14, 65_535)?.map(|bytes| bytes as usize),
    };
    section.finish()?;
    Ok(Some(capture))
}

fn ports(section: &Section<'_>, item: &Item) -> Result<Vec<PortName>, UserError> {
    let form = "a port, like \"host:5\" (all of its ports) or \"tor:0 agg:1\" (the port of tor:0 \
                towards agg:1), or a list of such";
    let one = |item: &Item| match &item.value {
        Value::Text(text) => {
            let names: Vec<&str> = text.split_whitespace().collect();
            let (node, towards) = match names[..] {
                [node] => (node.to_owned(), None),
                [node, towards] => (node.to_owned(), Some(towards.to_owned())),
                _ => return Err(section.wrong("ports", item, form)),
            };
            Ok(PortName { node, towards, origin: item.origin.clone() })
        }
        _ => Err(section.wrong("ports", item, form)),
    };
    match &item.value {
        Value::List(items) if !items.is_empty() => items.iter().map(one).collect(),
        _ => Ok(vec![one(item)?]),
    }
}
