//! Quantities as people write them: `400 Gb/s`, `1 us`, `2 MiB`, `25 %`.

use super::{Rate, Ratio, Span};

/// Why a quantity could not be read; the text names what was found and what is allowed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnitError {
    /// No number at the start.
    #[error("`{found}` does not start with a number; write for example `{example}`")]
    NoNumber {
        /// The text as given.
        found: String,
        /// A value that would be read.
        example: &'static str,
    },
    /// The unit is missing or unknown.
    #[error("`{found}` has {unit}; allowed are {allowed}, for example `{example}`")]
    Unit {
        /// The text as given.
        found: String,
        /// What stands where the unit should be.
        unit: String,
        /// The units that are read.
        allowed: &'static str,
        /// A value that would be read.
        example: &'static str,
    },
    /// The value is outside what can be represented.
    #[error("`{found}` is out of range; allowed is {allowed}")]
    Range {
        /// The text as given.
        found: String,
        /// The range.
        allowed: &'static str,
    },
}

/// Splits `text` into its number, as an exact decimal `(digits, scale)` = digits / 10^scale, and its unit.
fn split<'a>(text: &'a str, example: &'static str) -> Result<(u128, u32, &'a str), UnitError> {
    let trimmed = text.trim();
    let end = trimmed
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
        .unwrap_or(trimmed.len());
    let number = trimmed[..end].replace('_', "");
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
    let digits = format!("{whole}{fraction}");
    let no_number = || UnitError::NoNumber { found: text.to_owned(), example };
    if whole.is_empty() || fraction.contains('.') || digits.len() > 30 {
        return Err(no_number());
    }
    let value = digits.parse::<u128>().map_err(|_| no_number())?;
    Ok((value, fraction.len() as u32, trimmed[end..].trim()))
}

/// Reads `text` as a number with one of `units` (name, factor) and scales it exactly, rounding down.
fn scaled(
    text: &str,
    units: &[(&str, u128)],
    allowed: &'static str,
    example: &'static str,
) -> Result<u128, UnitError> {
    let (digits, scale, unit) = split(text, example)?;
    let factor = units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let factor = factor.ok_or_else(|| UnitError::Unit {
        found: text.to_owned(),
        unit: if unit.is_empty() { "no unit".to_owned() } else { format!("the unit `{unit}`") },
        allowed,
        example,
    })?;
    digits
        .checked_mul(factor)
        .map(|value| value / 10u128.pow(scale))
        .ok_or_else(|| UnitError::Range { found: text.to_owned(), allowed: "less than 2^64" })
}

/// Reads a duration: `ps`, `ns`, `us`, `µs`, `ms`, `s`.
///
/// # Errors
/// [`UnitError`] when there is no number, no such unit, or more than 213 days.
///
/// ```
/// # use fabric::units::{parse_span, Span};
/// assert_eq!(parse_span("1.5 us"), Ok(Span::from_nanos(1_500)));
/// assert!(parse_span("1 hour").is_err());
/// ```
pub fn parse_span(text: &str) -> Result<Span, UnitError> {
    let units = [
        ("ps", 1),
        ("ns", 1_000),
        ("us", 1_000_000),
        ("µs", 1_000_000),
        ("ms", 1_000_000_000),
        ("s", 1_000_000_000_000),
    ];
    let ps = scaled(text, &units, "ps, ns, us, ms and s", "1 us")?;
    match u64::try_from(ps) {
        Ok(ps) if ps < 1 << 63 => Ok(Span(ps)),
        _ => Err(UnitError::Range { found: text.to_owned(), allowed: "at most 106 days" }),
    }
}

/// Reads the length of a cable, `m` or `km`, as the time that a signal takes over it: 5 ns a metre, in
/// fibre and copper (`link.md` §6).
///
/// # Errors
/// [`UnitError`] when there is no number, no such unit, or more than a light second.
///
/// ```
/// # use fabric::units::{parse_length, Span};
/// assert_eq!(parse_length("30 m"), Ok(Span::from_nanos(150)));
/// assert!(parse_length("3 feet").is_err());
/// ```
pub fn parse_length(text: &str) -> Result<Span, UnitError> {
    let ps = scaled(text, &[("m", 5_000), ("km", 5_000_000)], "m and km", "30 m")?;
    match u64::try_from(ps) {
        Ok(ps) if ps < 1_500_000_000_000 => Ok(Span(ps)),
        _ => Err(UnitError::Range { found: text.to_owned(), allowed: "less than 300000 km" }),
    }
}

/// Reads a size in bytes: `B`, `KB`, `MB`, `GB`, `TB` (powers of 1000), `KiB` … `TiB` (powers of 1024).
///
/// # Errors
/// [`UnitError`] when there is no number, no such unit, or 2^63 bytes and more.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    let units = [
        ("B", 1),
        ("KB", 1_000),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    let bytes = scaled(text, &units, "B, KB, MB, GB, TB, KiB, MiB, GiB and TiB", "2 MiB")?;
    match u64::try_from(bytes) {
        Ok(bytes) if bytes < 1 << 63 => Ok(bytes),
        _ => Err(UnitError::Range { found: text.to_owned(), allowed: "less than 8 EiB" }),
    }
}

/// Reads a rate: `Mb/s`, `Gb/s`, `Tb/s` (and `Mbps`, `Gbps`, `Tbps`), from 1 Mb/s to 100 Tb/s.
///
/// # Errors
/// [`UnitError`] when there is no number, no such unit, or the rate is out of range.
pub fn parse_rate(text: &str) -> Result<Rate, UnitError> {
    let units = [
        ("Mb/s", 1_000_000),
        ("Mbps", 1_000_000),
        ("Gb/s", 1_000_000_000),
        ("Gbps", 1_000_000_000),
        ("Tb/s", 1_000_000_000_000),
        ("Tbps", 1_000_000_000_000),
    ];
    let bits = scaled(text, &units, "Mb/s, Gb/s and Tb/s", "400 Gb/s")?;
    match u64::try_from(bits) {
        Ok(bits) if (1_000_000..=100_000_000_000_000).contains(&bits) => {
            Ok(Rate::from_bits_per_second(bits))
        }
        _ => Err(UnitError::Range { found: text.to_owned(), allowed: "1 Mb/s to 100 Tb/s" }),
    }
}

/// Reads a fraction: `0.25` or `25 %`, with at most six decimals.
///
/// # Errors
/// [`UnitError`] when there is no number, another unit, or the number does not fit.
pub fn parse_ratio(text: &str) -> Result<Ratio, UnitError> {
    let (digits, scale, unit) = split(text, "0.25")?;
    let scale = match unit {
        "" => scale,
        "%" => scale + 2,
        other => {
            return Err(UnitError::Unit {
                found: text.to_owned(),
                unit: format!("the unit `{other}`"),
                allowed: "none and %",
                example: "0.25",
            });
        }
    };
    match (u32::try_from(digits), 10u32.checked_pow(scale)) {
        (Ok(numerator), Some(denominator)) => Ok(Ratio { numerator, denominator }),
        _ => Err(UnitError::Range { found: text.to_owned(), allowed: "up to nine digits" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every unit scales exactly.
    #[test]
    fn quantities_are_read_exactly() {
        assert_eq!(parse_span("12.5057 us"), Ok(Span(12_505_700)));
        assert_eq!(parse_span("1µs"), Ok(Span::from_micros(1)));
        assert_eq!(parse_bytes("2 MiB"), Ok(2 << 20));
        assert_eq!(parse_bytes("5 GB"), Ok(5_000_000_000));
        assert_eq!(parse_rate("400 Gb/s"), Ok(Rate::from_gbps(400)));
        assert_eq!(parse_rate("1.6 Tb/s"), Ok(Rate::from_gbps(1_600)));
        assert_eq!(parse_ratio("25 %").map(|r| r.of(400)), Ok(100));
        assert_eq!(parse_ratio("0.99").map(|r| r.of(100)), Ok(99));
    }

    /// What cannot be read says what was found and what is allowed.
    #[test]
    fn errors_name_the_value_and_the_allowed_units() {
        let unit = parse_rate("400 GB/s").unwrap_err().to_string();
        assert_eq!(
            unit,
            "`400 GB/s` has the unit `GB/s`; allowed are Mb/s, Gb/s and Tb/s, for example `400 Gb/s`"
        );
        assert!(parse_span("100").unwrap_err().to_string().contains("no unit"));
        assert!(parse_bytes("-3 B").unwrap_err().to_string().contains("number"));
        assert!(parse_rate("0 Gb/s").unwrap_err().to_string().contains("1 Mb/s to 100 Tb/s"));
        assert!(parse_bytes("99999999999999999999 TB").is_err());
    }
}
