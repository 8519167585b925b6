//! The sections `[live]` and `[[host]]` of a scenario: what `ultraloom live` attaches, and how.

use fabric::ids::HostId;
use fabric::units::Span;

use crate::error::{Origin, UserError};
use crate::scenario::tree::{Item, Section, Value};

/// How a live run goes.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Hosts that are attached, in the order of the scenario.
    pub hosts: Vec<AttachedHost>,
    /// Seconds of the clock for a second of emulated time.
    pub dilation: f64,
    /// The loop never sleeps.
    pub busy: bool,
    /// Lag, in time of the clock, that 999 of 1,000 frames may have.
    pub tolerance: Span,
    /// When it ends by itself, in emulated time.
    pub duration: Option<Span>,
    /// Longest IP packet of the interfaces that are made.
    pub mtu: u32,
    /// Bytes that may wait at an attached host's NIC.
    pub nic_queue: u64,
    /// Switches route: they count the time to live down.
    pub routed: bool,
    /// Simulated hosts answer real ones.
    pub answer: bool,
}

/// A host that is attached.
#[derive(Clone, Debug)]
pub struct AttachedHost {
    /// Which.
    pub host: HostId,
    /// To what.
    pub to: Attachment,
    /// Where it stands.
    pub origin: Origin,
}

/// What a host is attached to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Attachment {
    /// A namespace with a veth pair, made for the run.
    Veth,
    /// An interface that is there.
    Interface(String),
}

/// Most hosts that can be attached: each has a thread.
const MOST: usize = 256;

/// What is said of live runs.
pub(super) fn live(top: &Section<'_>) -> Result<LiveOptions, UserError> {
    let section = top.table("live")?;
    let dilation = section.number("dilation")?.unwrap_or(1.0);
    if let Some(item) = section.get("dilation")
        && !(0.001..=1e6).contains(&dilation)
    {
        return Err(section.wrong("dilation", item, "0.001 to 1000000"));
    }
    let options = LiveOptions {
        hosts: hosts(top)?,
        dilation,
        busy: section.word("mode", &[("sleep", false), ("busy", true)])?.unwrap_or(false),
        tolerance: section.span("tolerance")?.unwrap_or(Span::from_millis(10)),
        duration: section.span("duration")?,
        mtu: section.count("mtu", 576, 9_000)?.unwrap_or(1_500) as u32,
        nic_queue: section.bytes("nic_queue")?.unwrap_or(1 << 20),
        routed: section.truth("routed")?.unwrap_or(false),
        answer: section.truth("answer")?.unwrap_or(true),
    };
    section.finish()?;
    Ok(options)
}

fn hosts(top: &Section<'_>) -> Result<Vec<AttachedHost>, UserError> {
    let mut found: Vec<AttachedHost> = Vec::new();
    for (section, item) in top.tables("host")? {
        let Some(numbers) = section.get("number") else {
            let message = format!("`{}` is missing", section.name("number"));
            return Err(UserError::at(&item.origin, message).help("write number = 0, or a list"));
        };
        let to = attachment(&section, item)?;
        for host in list(&section, numbers)? {
            if found.iter().any(|other| other.host == host) {
                let message = format!("host {} is attached twice", host.0);
                return Err(UserError::at(&numbers.origin, message));
            }
            found.push(AttachedHost { host, to: to.clone(), origin: numbers.origin.clone() });
        }
        if let (Attachment::Interface(_), Value::List(all)) = (&to, &numbers.value)
            && all.len() > 1
        {
            let message = "an interface is of one host";
            return Err(UserError::at(&numbers.origin, message));
        }
        section.finish()?;
    }
    if found.len() > MOST {
        let message = format!("{} hosts are attached; at most {MOST} can be", found.len());
        return Err(UserError::new(message));
    }
    Ok(found)
}

fn attachment(section: &Section<'_>, item: &Item) -> Result<Attachment, UserError> {
    #[derive(Clone, Copy)]
    enum Kind {
        Veth,
        Interface,
    }
    let kinds = [("veth", Kind::Veth), ("interface", Kind::Interface)];
    let missing = |key: &str| {
        UserError::at(&item.origin, format!("`{}` is missing", section.name(key)))
            .help("write attach = \"veth\", or attach = \"interface\" and interface = \"eth1\"")
    };
    match section.word("attach", &kinds)?.ok_or_else(|| missing("attach"))? {
        Kind::Veth => Ok(Attachment::Veth),
        Kind::Interface => section
            .text("interface")?
            .map(Attachment::Interface)
            .ok_or_else(|| missing("interface")),
    }
}

/// A host's number, or a list of them.
fn list(section: &Section<'_>, item: &Item) -> Result<Vec<HostId>, UserError> {
    let wrong = || section.wrong("number", item, "a host's number, or a list of them");
    let one = |value: &Value| match value {
        Value::Integer(number) => u32::try_from(*number).map(HostId).map_err(|_| wrong()),
        _ => Err(wrong()),
    };
    match &item.value {
        Value::List(items) => items.iter().map(|item| one(&item.value)).collect(),
        value => Ok(vec![one(value)?]),
    }
}
