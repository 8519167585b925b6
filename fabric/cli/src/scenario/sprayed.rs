//! `[transport]` of the kinds `srd`, `strack` and `ndp`.

use crate::error::UserError;
use crate::scenario::model::{SprayedKind, SprayedOptions};
use crate::scenario::tree::Section;

/// Reads the section.
///
/// # Errors
/// When a value is none of those allowed.
pub(super) fn sprayed(
    kind: SprayedKind,
    section: &Section<'_>,
) -> Result<SprayedOptions, UserError> {
    Ok(SprayedOptions {
        kind,
        payload: section.count("payload", 64, 9_000)?.map(|bytes| bytes as u16),
        paths: section.count("paths", 1, 256)?.map(|paths| paths as u16),
        timeout: section.span("timeout")?,
    })
}
