//! `[[claim]]`: what a scenario says of its own results.

use std::collections::BTreeMap;

use results::claims::{self, Claim};

use crate::error::UserError;
use crate::scenario::model::Variant;
use crate::scenario::tree::{Item, Section};

/// The claims of a scenario with these variants.
///
/// # Errors
/// When one cannot be looked up in the results, or has no bounds.
pub(super) fn claims(top: &Section<'_>, variants: &[Variant]) -> Result<Vec<Claim>, UserError> {
    let shape = variants.iter().map(|variant| {
        let names = variant.workloads.iter().map(|workload| workload.name.clone());
        (variant.name.clone(), names.collect())
    });
    let shape: BTreeMap<String, Vec<String>> = shape.collect();
    let tables = top.tables("claim")?;
    tables.into_iter().map(|(section, item)| claim(&section, item, &shape)).collect()
}

fn claim(
    section: &Section<'_>,
    item: &Item,
    shape: &BTreeMap<String, Vec<String>>,
) -> Result<Claim, UserError> {
    let missing =
        |key: &str| UserError::at(&item.origin, format!("`{}` is missing", section.name(key)));
    let metric = section.text("metric")?.ok_or_else(|| missing("metric"))?;
    let over = section.text("over")?;
    for (key, name) in [("metric", Some(&metric)), ("over", over.as_ref())] {
        let (Some(name), Some(place)) = (name, section.get(key)) else { continue };
        claims::check(name, shape).map_err(|message| {
            UserError::at(&place.origin, format!("`{}`: {message}", section.name(key)))
        })?;
    }
    let (least, most) = (section.number("least")?, section.number("most")?);
    match (least, most, section.get("most")) {
        (None, None, _) => return Err(missing("least").help("a claim has `least`, `most` or both")),
        (Some(least), Some(most), Some(place)) if least > most => {
            return Err(section.wrong("most", place, &format!("at least `least`, {least}")));
        }
        _ => {}
    }
    let name = section.text("name")?.unwrap_or_else(|| match &over {
        Some(over) => format!("{metric} / {over}"),
        None => metric.clone(),
    });
    let source = section.text("source")?;
    section.finish()?;
    Ok(Claim { name, metric, over, least, most, source })
}
