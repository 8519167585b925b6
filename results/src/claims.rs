//! Claims: what a scenario says about its own results, checked at the end of a run.
//!
//! A claim names a figure of a variant, perhaps over another one, and the range that it must lie in.
//! Figures are named as in `summary.json`: `uec.fct_us.p99`, `uec/all-to-all.slowdown.p50`, or of one
//! message `roce.flow.3.fct_us`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::distribution::Percentiles;
use crate::records::Run;
use crate::summary::{CollectiveFigures, Figures, JobFigures, RunSummary};

/// A claim as written.
#[derive(Clone, PartialEq, Debug)]
pub struct Claim {
    /// What it says.
    pub name: String,
    /// The figure.
    pub metric: String,
    /// What it is divided by.
    pub over: Option<String>,
    /// It holds from here …
    pub least: Option<f64>,
    /// … to here.
    pub most: Option<f64>,
    /// Who says so.
    pub source: Option<String>,
}

/// What became of a claim.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// What it says.
    pub name: String,
    /// The figure found; missing if the run did not give it.
    pub value: Option<f64>,
    /// Least value that counts.
    pub least: Option<f64>,
    /// Greatest value that counts.
    pub most: Option<f64>,
    /// Who says so.
    pub source: Option<String>,
    /// Whether the value is in the range.
    pub holds: bool,
}

impl Verdict {
    /// One line for people.
    pub fn line(&self) -> String {
        let bound =
            |bound: Option<f64>, none: &str| bound.map_or(none.to_owned(), |b| b.to_string());
        let found = self.value.map_or("no figure".to_owned(), |value| format!("{value:.4}"));
        let range = format!("{} to {}", bound(self.least, "any"), bound(self.most, "any"));
        let verdict = if self.holds { "holds" } else { "MISSED" };
        format!("{verdict}: {}: {found}, expected {range}", self.name)
    }
}

/// A metric in its parts: variant, workload, and the way to the number.
struct Parts<'a> {
    variant: &'a str,
    workload: Option<&'a str>,
    path: Vec<&'a str>,
}

/// The name of `names` with which `text` begins, followed by one of `ends`, and what comes after it.
fn begin<'a>(text: &'a str, names: &[String], ends: &[char]) -> Option<(&'a str, char, &'a str)> {
    let fits = |name: &&String| {
        text.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(ends))
    };
    let name = names.iter().filter(fits).max_by_key(|name| name.len())?;
    let (name, rest) = text.split_at(name.len());
    let end = rest.chars().next()?;
    Some((name, end, &rest[1..]))
}

fn parts<'a>(metric: &'a str, shape: &BTreeMap<String, Vec<String>>) -> Result<Parts<'a>, String> {
    let variants: Vec<String> = shape.keys().cloned().collect();
    let Some((variant, end, rest)) = begin(metric, &variants, &['.', '/']) else {
        let known = variants.join(", ");
        return Err(format!("`{metric}` begins with no variant; there are {known}"));
    };
    if end == '.' {
        return Ok(Parts { variant, workload: None, path: rest.split('.').collect() });
    }
    let workloads = &shape[variant];
    let Some((workload, _, rest)) = begin(rest, workloads, &['.']) else {
        let known = workloads.join(", ");
        return Err(format!("`{metric}` names no workload of {variant}; there are {known}"));
    };
    Ok(Parts { variant, workload: Some(workload), path: rest.split('.').collect() })
}

/// The number at the end of `path`, of which `job` and `step` lead to those of a name.
fn number(figures: &Value, path: &[&str]) -> Option<f64> {
    let named = |list: &Value, name: &str| {
        let is_named = |entry: &&Value| entry["name"] == name;
        list.as_array()?.iter().find(is_named).cloned()
    };
    match path {
        ["job", name, rest @ ..] => number(&named(&figures["jobs"], name)?, rest),
        ["step", name, rest @ ..] => number(&named(&figures["program"]["steps"], name)?, rest),
        path => path.iter().try_fold(figures, |value, key| value.get(key))?.as_f64(),
    }
}

/// What one message offers.
const OF_A_MESSAGE: [&str; 2] = ["fct_us", "slowdown"];

/// Whether a metric can be looked up in a scenario with these variants and their workloads.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn check(metric: &str, shape: &BTreeMap<String, Vec<String>>) -> Result<(), String> {
    let Parts { path, .. } = parts(metric, shape)?;
    if let ["flow", message, figure] = path[..] {
        return match message.parse::<u32>() {
            Err(_) => Err(format!("`{metric}` names the message `{message}`; expected a number")),
            Ok(_) if !OF_A_MESSAGE.contains(&figure) => {
                Err(format!("`{metric}` asks a message for `{figure}`; it has fct_us, slowdown"))
            }
            Ok(_) => Ok(()),
        };
    }
    let collective = CollectiveFigures {
        kind: String::new(),
        ranks: 0,
        bytes: 0,
        time_us: 0.0,
        algorithm_bandwidth_gbps: 0.0,
        bus_bandwidth_gbps: 0.0,
    };
    // Names of jobs and steps are known only by the run.
    let step = path.iter().position(|part| *part == "step").and_then(|place| path.get(place + 1));
    let job = path.first().filter(|part| **part == "job").and_then(|_| path.get(1));
    let label = step.map_or("", |name| name).to_owned();
    let mut program = crate::programs::ProgramFigures::of(&[Default::default()], &[label]);
    if let Some(program) = &mut program {
        program.model_flops_utilisation = Some(0.0);
    }
    let mut example = Figures {
        flows: 0,
        completed: 0,
        fct_us: Percentiles::default(),
        slowdown: Percentiles::default(),
        fairness: 0.0,
        makespan_us: 0.0,
        goodput_gbps: 0.0,
        jobs: Vec::new(),
        deadlock: Vec::new(),
        packets: crate::summary::Packets::default(),
        collective: Some(collective),
        program,
        engine: crate::summary::EngineFigures::default(),
        digest: String::new(),
    };
    if let Some(name) = job {
        example.jobs.push(JobFigures {
            name: (*name).to_owned(),
            hosts: 0,
            start_us: 0.0,
            flows: 0,
            completed: 0,
            fct_us: Percentiles::default(),
            slowdown: Percentiles::default(),
            makespan_us: 0.0,
            goodput_gbps: 0.0,
            collective: example.collective.clone(),
            program: example.program.clone(),
        });
    }
    let example = serde_json::to_value(&example).unwrap_or_default();
    match number(&example, &path) {
        Some(_) => Ok(()),
        None => Err(format!(
            "`{metric}` is no figure; those of summary.json are, like `fct_us.p99` or `packets.dropped`"
        )),
    }
}

/// A metric's value, if the run gave it.
fn value(metric: &str, summary: &RunSummary, runs: &[Run]) -> Option<f64> {
    let shape = summary.variants.iter().map(|variant| {
        let names = variant.workloads.iter().map(|workload| workload.name.clone());
        (variant.name.clone(), names.collect())
    });
    let Parts { variant, workload, path } = parts(metric, &shape.collect()).ok()?;
    if let ["flow", message, figure] = path[..] {
        let number: u32 = message.parse().ok()?;
        let run = runs.iter().find(|run| {
            run.variant == variant && workload.is_none_or(|workload| run.workload == workload)
        })?;
        return run.figure_of(number, figure);
    }
    let of = summary.variants.iter().find(|v| v.name == variant)?;
    let figures = match workload {
        None => &of.figures,
        Some(workload) => &of.workloads.iter().find(|w| w.name == workload)?.figures,
    };
    number(&serde_json::to_value(figures).ok()?, &path)
}

/// The verdicts on all claims.
pub fn judge(claims: &[Claim], summary: &RunSummary, runs: &[Run]) -> Vec<Verdict> {
    let judge = |claim: &Claim| {
        let metric = value(&claim.metric, summary, runs);
        let found = match &claim.over {
            None => metric,
            Some(over) => {
                metric.zip(value(over, summary, runs)).map(|(metric, over)| metric / over)
            }
        };
        let inside = |value: f64| {
            value.is_finite()
                && claim.least.is_none_or(|least| value >= least)
                && claim.most.is_none_or(|most| value <= most)
        };
        Verdict {
            name: claim.name.clone(),
            value: found.filter(|value| value.is_finite()),
            least: claim.least,
            most: claim.most,
            source: claim.source.clone(),
            holds: found.is_some_and(inside),
        }
    };
    claims.iter().map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::{Context, VariantSummary, WorkloadSummary};
    use fabric::units::Span;

    fn summary() -> (RunSummary, Vec<Run>) {
        let record = crate::summary::tests::record(&[Some(5), Some(10)]);
        let ideals = vec![Span::from_micros(5); 2];
        let context = Context { messages: 2, ideals, ..Context::default() };
        let figures = Figures::of(&record, &context);
        let workload = WorkloadSummary { name: "incast".into(), figures: figures.clone() };
        let variant = |name: &str| VariantSummary {
            name: name.into(),
            clock_dilation: 1,
            figures: figures.clone(),
            workloads: vec![workload.clone()],
        };
        let (of, with) = ("roce".into(), "incast".into());
        let run = Run { variant: of, workload: with, record, context };
        let variants = vec![variant("roce"), variant("roce.2")];
        let (name, version) = ("n".into(), "0".into());
        (RunSummary { name, seed: 1, version, variants, claims: Vec::new() }, vec![run])
    }

    fn claim(metric: &str, over: Option<&str>, least: f64, most: f64) -> Claim {
        Claim {
            name: "c".into(),
            metric: metric.into(),
            over: over.map(str::to_owned),
            least: Some(least),
            most: Some(most),
            source: None,
        }
    }

    /// Figures of variants, workloads and messages are found, and their ratios; what is not in the range,
    /// or was not measured, is missed.
    #[test]
    fn claims_are_judged() {
        let (summary, runs) = summary();
        let holds = |claim: Claim| judge(&[claim], &summary, &runs)[0].holds;
        assert!(holds(claim("roce.fct_us.max", None, 10.0, 10.0)));
        assert!(holds(claim("roce.2/incast.slowdown.p50", None, 1.0, 1.0)));
        assert!(holds(claim("roce.flow.1.fct_us", Some("roce.flow.0.fct_us"), 1.9, 2.1)));
        assert!(!holds(claim("roce.flow.1.slowdown", None, 1.0, 1.9)));
        assert!(!holds(claim("roce.collective.time_us", None, 0.0, 1e9)), "there is none");
        assert!(!holds(claim("roce.packets.dropped", Some("roce.packets.dropped"), 0.0, 9.0)));
        let line = judge(&[claim("roce.fct_us.max", None, 1.0, 2.0)], &summary, &runs)[0].line();
        assert_eq!(line, "MISSED: c: 10.0000, expected 1 to 2");
    }

    /// What can never be found is refused beforehand, with what there is.
    #[test]
    fn metrics_are_checked() {
        let shape = BTreeMap::from([("roce".to_owned(), vec!["incast".to_owned()])]);
        for good in [
            "roce.fct_us.p999",
            "roce/incast.collective.time_us",
            "roce.flow.7.slowdown",
            "roce.step.page read.p99_us",
            "roce.job.small.makespan_us",
            "roce.job.small.step.get.p50_us",
            "roce.program.model_flops_utilisation",
        ] {
            assert_eq!(check(good, &shape), Ok(()));
        }
        for (bad, expected) in [
            ("tcp.fct_us.p99", "`tcp.fct_us.p99` begins with no variant; there are roce"),
            ("roce/ring.fct_us.p99", "`roce/ring.fct_us.p99` names no workload of roce"),
            ("roce.fct_us.p98", "`roce.fct_us.p98` is no figure"),
            ("roce.step.get.p98_us", "`roce.step.get.p98_us` is no figure"),
            ("roce.job.small.p99", "`roce.job.small.p99` is no figure"),
            ("roce.flow.x.fct_us", "`roce.flow.x.fct_us` names the message `x`"),
        ] {
            assert!(check(bad, &shape).unwrap_err().starts_with(expected), "{bad}");
        }
    }
}
