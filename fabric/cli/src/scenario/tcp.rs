//! `[transport]` of kind `tcp`.

use transports::tcp::config::Control;

use crate::error::UserError;
use crate::scenario::model::TcpOptions;
use crate::scenario::tree::Section;

/// Reads the section.
///
/// # Errors
/// When a value is none of those allowed.
pub(super) fn tcp(section: &Section<'_>) -> Result<TcpOptions, UserError> {
    let controls = [("cubic", Control::Cubic), ("reno", Control::Reno), ("none", Control::None)];
    let buffer = section.bytes("buffer")?;
    if let Some(bytes) = buffer
        && !(4_096..=1 << 30).contains(&bytes)
        && let Some(item) = section.get("buffer")
    {
        return Err(section.wrong("buffer", item, "4 KiB to 1 GiB"));
    }
    Ok(TcpOptions {
        congestion: section.word("congestion", &controls)?,
        payload: section.count("payload", 536, 9_000)?.map(|bytes| bytes as u16),
        buffer: buffer.map(|bytes| bytes as u32),
        dilation: section.count("dilation", 1, 1_000_000_000)?.map(|times| times as u32),
    })
}
