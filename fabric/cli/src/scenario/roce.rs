//! `[transport]` of kind `roce`.

use transports::roce::config::{Operation, Preset, QpScope};

use crate::error::UserError;
use crate::scenario::model::{RoceCongestion, RoceOptions, RoceRecovery, RoceTimeout};
use crate::scenario::sections::share;
use crate::scenario::tree::{Item, Section, Value};

/// Reads the section.
///
/// # Errors
/// When a value is none of those allowed.
pub(super) fn roce(section: &Section<'_>) -> Result<RoceOptions, UserError> {
    let preset =
        section.word("preset", &[("mellanox", Preset::Mellanox), ("paper", Preset::Paper)])?;
    let congestion = section.word(
        "congestion",
        &[
            ("dcqcn", RoceCongestion::Dcqcn),
            ("hpcc", RoceCongestion::Hpcc),
            ("timely", RoceCongestion::Timely),
            ("swift", RoceCongestion::Swift),
            ("dctcp", RoceCongestion::Dctcp),
            ("none", RoceCongestion::None),
        ],
    )?;
    let congestion = congestion.unwrap_or(RoceCongestion::Dcqcn);
    let recovery = section.word(
        "recovery",
        &[
            ("go-back-n", RoceRecovery::GoBackN),
            ("selective-repeat", RoceRecovery::SelectiveRepeat),
            ("irn", RoceRecovery::Irn),
        ],
    )?;
    let recovery = recovery.unwrap_or(RoceRecovery::GoBackN);
    let patience = match recovery {
        RoceRecovery::SelectiveRepeat => section.span("patience")?,
        _ => None,
    };
    let (hpcc_eta, hpcc_max_stage) = match congestion {
        RoceCongestion::Hpcc => (
            share(section, "hpcc_eta", 1.0)?,
            section.count("hpcc_max_stage", 0, 1_000)?.map(|stage| stage as u32),
        ),
        _ => (None, None),
    };
    Ok(RoceOptions {
        congestion,
        preset: preset.unwrap_or(Preset::Mellanox),
        window: section.truth("window")?.unwrap_or(true),
        payload: section.count("payload", 64, 9_000)?.map(|bytes| bytes as u16),
        ack_every: section.count("ack_every", 1, 256)?.map(|packets| packets as u32),
        ack_delay: section.span("ack_delay")?,
        timeout: timeout(section)?,
        retries: section.count("retries", 0, 1_000)?.map(|retries| retries as u32),
        recovery,
        patience,
        qp_scope: qp_scope(section)?,
        qp_setup: section.span("qp_setup")?,
        operation: operation(section, congestion, recovery)?,
        hpcc_eta,
        hpcc_max_stage,
    })
}

/// What messages are. Nobody acknowledges the data of a READ, so what lives on acknowledgements does not go with it.
fn operation(
    section: &Section<'_>,
    congestion: RoceCongestion,
    recovery: RoceRecovery,
) -> Result<Option<Operation>, UserError> {
    let operations =
        [("write", Operation::Write), ("send", Operation::Send), ("read", Operation::Read)];
    let operation = section.word("operation", &operations)?;
    let (Some(Operation::Read), Some(item)) = (operation, section.get("operation")) else {
        return Ok(operation);
    };
    if !matches!(congestion, RoceCongestion::Dcqcn | RoceCongestion::None) {
        let allowed =
            "write or send with this `congestion`: the data of a read is not acknowledged";
        return Err(section.wrong("operation", item, allowed));
    }
    if recovery != RoceRecovery::GoBackN {
        let allowed = "write or send with this `recovery`: a read goes back";
        return Err(section.wrong("operation", item, allowed));
    }
    Ok(operation)
}

fn timeout(section: &Section<'_>) -> Result<Option<RoceTimeout>, UserError> {
    match section.get("timeout") {
        Some(Item { value: Value::Text(text), .. }) if text == "never" => {
            Ok(Some(RoceTimeout::Never))
        }
        _ => Ok(section.span("timeout")?.map(RoceTimeout::After)),
    }
}

/// Queue pairs: one a message, or so many a destination, by which messages go in turn or in parts.
fn qp_scope(section: &Section<'_>) -> Result<Option<QpScope>, UserError> {
    let message = section.word("qp_scope", &[("destination", false), ("message", true)])?;
    if message == Some(true) {
        return Ok(Some(QpScope::Message));
    }
    let count = section.count("queue_pairs", 1, 1_024)?.map(|count| count as u32);
    let split = section.truth("split")?;
    let said = message.is_some() || count.is_some() || split.is_some();
    let (count, split) = (count.unwrap_or(1), split.unwrap_or(false));
    Ok(said.then_some(QpScope::Destination { count, split }))
}
