//! Logarithm, exponential and power by `+ − × ÷` alone, so that every machine gets the same tables.

/// Natural logarithm of a positive number.
pub(crate) fn ln(value: f64) -> f64 {
    let bits = value.to_bits();
    let exponent = (bits >> 52) as i32 - 1_023;
    let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1_023 << 52));
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let (mut power, mut sum) = (ratio, 0.0);
    for term in 0..24u32 {
        sum += power / f64::from(2 * term + 1);
        power *= ratio * ratio;
    }
    2.0 * sum + f64::from(exponent) * std::f64::consts::LN_2
}

/// e to a power from −700 to 700.
pub(crate) fn exp(power: f64) -> f64 {
    // Halved until it is small, then squared as often.
    let (mut small, mut halvings) = (power, 0);
    while small.abs() > 0.125 {
        small /= 2.0;
        halvings += 1;
    }
    let (mut term, mut sum) = (1.0, 1.0);
    for order in 1..16u32 {
        term *= small / f64::from(order);
        sum += term;
    }
    (0..halvings).fold(sum, |value, _| value * value)
}

/// A positive number to a power.
pub(crate) fn power(base: f64, exponent: f64) -> f64 {
    exp(exponent * ln(base))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Logarithm and power are the usual ones.
        #[test]
        fn logarithms_and_powers_are_right(value in 1e-15f64..1e15, to in -5f64..5.0) {
            prop_assert!((ln(value) - value.ln()).abs() < 1e-13 * (1.0 + value.ln().abs()));
            prop_assert!((power(value, to) / value.powf(to) - 1.0).abs() < 1e-10);
        }
    }
}
