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

/// The range of a claim, as `least` and `most`, or by an operator and a value.
fn bounds(section: &Section<'_>) -> Result<(Option<f64>, Option<f64>), UserError> {
    let Some(value) = section.number("value")? else {
        return Ok((section.number("least")?, section.number("most")?));
    };
    for key in ["least", "most"] {
        if let Some(item) = section.get(key) {
            return Err(section.wrong(key, item, "nothing beside `value`"));
        }
    }
    #[derive(Clone, Copy)]
    enum Operator {
        Equal,
        AtMost,
        AtLeast,
        Less,
        More,
    }
    use Operator::{AtLeast, AtMost, Equal, Less, More};
    let words = [("==", Equal), ("<=", AtMost), (">=", AtLeast), ("<", Less), (">", More)];
    let operator = section.word("operator", &words)?.unwrap_or(Equal);
    let share = section.ratio("tolerance", 10.0)?.map_or(0.0, |ratio| ratio.as_f64());
    let (low, high) = (value * (1.0 - share), value * (1.0 + share));
    Ok(match operator {
        Equal => (Some(low), Some(high)),
        AtMost => (None, Some(high)),
        AtLeast => (Some(low), None),
        Less => (None, Some(high.next_down())),
        More => (Some(low.next_up()), None),
    })
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
    let (least, most) = bounds(section)?;
    match (least, most, section.get("most")) {
        (None, None, _) => {
            let help = "a claim has `least`, `most` or both, or `operator` and `value`";
            return Err(missing("least").help(help));
        }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::error::Source;
    use crate::scenario::from_source;

    fn range(keys: &str) -> Result<(Option<f64>, Option<f64>), String> {
        let text = format!(
            "[workload]\nkind = \"incast\"\nbytes = 1\n[[claim]]\nmetric = \"base.fct_us.p99\"\n{keys}\n"
        );
        let source = Arc::new(Source { name: "x.toml".into(), text, folder: None });
        let scenario = from_source(&source, &[], None).map_err(|error| error.message)?;
        Ok((scenario.claims[0].least, scenario.claims[0].most))
    }

    /// An operator, a value and a tolerance say a range; strict ones leave the value out.
    #[test]
    fn operators_are_ranges() {
        assert_eq!(range("value = 100"), Ok((Some(100.0), Some(100.0))));
        assert_eq!(range("value = 100\ntolerance = \"25 %\""), Ok((Some(75.0), Some(125.0))));
        assert_eq!(range("operator = \"<=\"\nvalue = 4\ntolerance = 0.5"), Ok((None, Some(6.0))));
        assert_eq!(range("operator = \">=\"\nvalue = 4"), Ok((Some(4.0), None)));
        let (_, below) = range("operator = \"<\"\nvalue = 4").unwrap();
        assert!(below.unwrap() < 4.0);
        let wrong = range("operator = \"=<\"\nvalue = 4").unwrap_err();
        assert!(wrong.contains("operator` is `=<`"), "{wrong}");
        assert!(range("least = 1\nvalue = 4").unwrap_err().contains("nothing beside `value`"));
        assert!(range("").unwrap_err().contains("least` is missing"));
    }
}
