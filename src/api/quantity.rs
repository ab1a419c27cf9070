//! `resource.Quantity`: the numbers with suffixes (`250m`, `1.5Gi`, `2e3`) in requests, limits and quotas.
//!
//! In: the text a person wrote. Out: an exact number, and the one canonical text that the API server
//! stores for it. Never floating point: `0.1` CPU three times must be `300m`. A quantity is
//! `mantissa × 10^scale` with at most nine decimals, as in Kubernetes.
//!
//! One file because parsing, arithmetic and the canonical text share one representation.
//! Source: `k8s.io/apimachinery/pkg/api/resource`. The chapter on requests and limits reads this file.

use std::{cmp::Ordering, fmt, str::FromStr};

/// Why a text is no quantity; the words are Kubernetes' own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The text as a whole has the wrong shape.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The digits cannot be read.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// The suffix is none of the known ones.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// Which family of suffixes the canonical text uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `m`, none, `k`, `M`, …: powers of 1000.
    DecimalSi,
    /// `Ki`, `Mi`, …: powers of 1024.
    BinarySi,
    /// `e3`, `e6`, …
    DecimalExponent,
}

/// An exact number with the suffix family it prefers. Equality and order are by number alone.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    mantissa: i128,
    scale: i32,
    format: Format,
}

/// The smallest part that is kept; anything smaller is rounded up to it.
const NANO: i32 = -9;
/// Digits that are safe in an `i64`, the limit of the exact fast path.
const MAX_DIGITS: i32 = 18;

const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

impl Quantity {
    /// Nothing of anything.
    pub const ZERO: Quantity = Quantity { mantissa: 0, scale: 0, format: Format::DecimalSi };

    /// Reads a quantity as the API server does.
    pub fn parse(text: &str) -> Result<Quantity, QuantityError> {
        let parts = Parts::split(text)?;
        let suffix = Suffix::read(parts.suffix)?;
        if let Some(quantity) = parts.small(suffix) {
            return Ok(quantity);
        }
        if parts.value.is_empty() {
            return Err(QuantityError::Numeric);
        }
        Ok(parts.large(suffix))
    }

    /// A whole number of units.
    pub fn from_units(units: i64, format: Format) -> Quantity {
        Quantity { mantissa: i128::from(units), scale: 0, format }
    }

    /// Thousandths of a unit: 250 is `250m`.
    pub fn from_millis(millis: i64) -> Quantity {
        Quantity { mantissa: i128::from(millis), scale: -3, format: Format::DecimalSi }
    }

    /// The number of units, rounded away from zero to a whole one; wraps as in Go.
    pub fn value(&self) -> i64 {
        self.at_scale(0)
    }

    /// The number of thousandths, rounded away from zero; wraps as in Go.
    pub fn milli_value(&self) -> i64 {
        self.at_scale(-3)
    }

    /// Nearest floating-point number, for percentages and pictures only.
    pub fn as_f64(&self) -> f64 {
        self.mantissa as f64 * 10f64.powi(self.scale)
    }

    /// True for any spelling of zero.
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// -1, 0 or 1.
    pub fn signum(&self) -> i32 {
        self.mantissa.signum() as i32
    }

    /// The family of suffixes it prefers.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The sum; zero takes over the other's suffix family.
    #[must_use]
    pub fn plus(self, other: Quantity) -> Quantity {
        let format = if self.is_zero() { other.format } else { self.format };
        let scale = self.scale.min(other.scale);
        let mantissa = self.rescaled(scale).saturating_add(other.rescaled(scale));
        Quantity { mantissa, scale, format }
    }

    /// The difference.
    #[must_use]
    pub fn minus(self, other: Quantity) -> Quantity {
        self.plus(Quantity { mantissa: -other.mantissa, ..other })
    }

    /// Rounds away from zero to a multiple of `10^scale`, as defaulting does with milli-units.
    #[must_use]
    pub fn round_up(self, scale: i32) -> Quantity {
        if self.scale >= scale {
            return self;
        }
        Quantity { mantissa: divide_up(self.mantissa, power(scale - self.scale)), scale, ..self }
    }

    fn at_scale(&self, scale: i32) -> i64 {
        let wide = self.round_up(scale).rescaled(scale);
        match i64::try_from(wide) {
            Ok(value) => value,
            // Go keeps the lowest 64 bits of a number with many digits, and gives up on one with few.
            Err(_) if self.scale == NANO => wide as i64,
            Err(_) => 0,
        }
    }

    /// The mantissa at a scale no larger than ours; saturates.
    fn rescaled(&self, scale: i32) -> i128 {
        self.mantissa.saturating_mul(power(self.scale - scale))
    }

    fn whole(&self) -> Option<i128> {
        let rounded = self.round_up(0);
        (rounded == *self).then(|| rounded.rescaled(0))
    }

    /// The suffix family that prints it without rounding.
    fn printable_format(&self) -> Format {
        let small = self.value().unsigned_abs() < 1024 || self.round_up(0).rescaled(0).unsigned_abs() < 1024;
        match self.format {
            Format::BinarySi if small || self.whole().is_none() => Format::DecimalSi,
            other => other,
        }
    }
}

/// `10^exponent`, saturating: the largest `i128` stands for anything beyond it.
fn power(exponent: i32) -> i128 {
    10i128.checked_pow(exponent.max(0) as u32).unwrap_or(i128::MAX)
}

fn divide_up(value: i128, by: i128) -> i128 {
    let (quotient, rest) = (value / by, value % by);
    quotient + if rest == 0 { 0 } else { value.signum() }
}

#[derive(Clone, Copy)]
enum Suffix {
    Ten(i32, Format),
    Two(u32),
}

impl Suffix {
    fn read(text: &str) -> Result<Suffix, QuantityError> {
        if let Some((_, exponent)) = DECIMAL.iter().find(|(name, _)| *name == text) {
            return Ok(Suffix::Ten(*exponent, Format::DecimalSi));
        }
        if let Some((_, exponent)) = BINARY.iter().find(|(name, _)| *name == text) {
            return Ok(Suffix::Two(*exponent));
        }
        let digits = text.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
        let exponent: i64 = digits.parse().map_err(|_| QuantityError::Suffix)?;
        Ok(Suffix::Ten(exponent.clamp(-1_000_000, 1_000_000) as i32, Format::DecimalExponent))
    }
}

/// A quantity's text, taken apart: sign, digits before and after the point, suffix.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    value: &'a str,
    suffix: &'a str,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Result<Parts<'a>, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Format);
        }
        let negative = text.starts_with('-');
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let digits = unsigned.trim_start_matches('0');
        let (whole, rest) = leading_digits(digits);
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(after) => leading_digits(after),
            None => ("", rest),
        };
        check_suffix(suffix)?;
        let value = &text[..text.len() - suffix.len()];
        let whole = if whole.is_empty() { "0" } else { whole };
        Ok(Parts { negative, whole, fraction, value, suffix })
    }

    /// The exact path: few digits, no fraction of a binary unit.
    fn small(&self, suffix: Suffix) -> Option<Quantity> {
        let digits = (self.whole.len() + self.fraction.len()) as i32;
        let (scale, factor, precision, format) = match suffix {
            Suffix::Ten(exponent, format) => (exponent, 1, MAX_DIGITS - digits, format),
            Suffix::Two(_) if !self.fraction.is_empty() => return None,
            Suffix::Two(exponent) => {
                let used = (f64::from(exponent) * 3.0 / 10.0) as i32;
                (0, 1i128 << exponent, 15 - self.whole.len() as i32 - used - 1, Format::BinarySi)
            }
        };
        let scale = scale - self.fraction.len() as i32;
        if precision < 0 || scale < NANO {
            return None;
        }
        let value: i128 = format!("{}{}", self.whole, self.fraction).parse().ok()?;
        let mantissa = value.checked_mul(factor).filter(|product| i64::try_from(*product).is_ok())?;
        Some(Quantity { mantissa: if self.negative { -mantissa } else { mantissa }, scale, format })
    }

    /// The general path: rounds up to nano-units, and caps what is written in powers of two at the largest `i64`.
    fn large(&self, suffix: Suffix) -> Quantity {
        let (nanos, format) = match suffix {
            Suffix::Ten(exponent, format) => (self.decimal_nanos(exponent), format),
            Suffix::Two(exponent) => (self.binary_nanos(exponent), Format::BinarySi),
        };
        let unit = power(-NANO);
        let most = i128::from(i64::MAX) * unit;
        // Numbers beyond our own limit become the largest whole one; Go has no limit there.
        let limit = if format == Format::BinarySi { most } else { i128::MAX / unit * unit };
        let nanos = nanos.min(limit);
        let format = if format == Format::BinarySi && nanos > 0 && nanos < unit { Format::DecimalSi } else { format };
        Quantity { mantissa: if self.negative { -nanos } else { nanos }, scale: NANO, format }
    }

    fn decimal_nanos(&self, exponent: i32) -> i128 {
        let digits = format!("{}{}", self.whole, self.fraction);
        let digits = digits.trim_start_matches('0');
        let point = digits.len() as i64 - self.fraction.len() as i64 + i64::from(exponent) - i64::from(NANO);
        if digits.is_empty() {
            return 0;
        }
        let keep = point.clamp(0, 30) as usize;
        if point > 30 {
            return i128::MAX;
        }
        let (kept, cut) = digits.split_at(keep.min(digits.len()));
        // At most thirty digits, which an i128 always holds.
        let kept_value = if kept.is_empty() { 0 } else { kept.parse().unwrap_or(i128::MAX) };
        let shifted = kept_value * power((keep - kept.len()) as i32);
        shifted + i128::from(cut.bytes().any(|digit| digit != b'0'))
    }

    fn binary_nanos(&self, exponent: u32) -> i128 {
        let factor = 1i128 << exponent;
        let whole = self.whole.parse::<i128>().unwrap_or(i128::MAX).saturating_mul(factor);
        let (kept, cut) = self.fraction.split_at(self.fraction.len().min(18));
        let tenths = power(kept.len() as i32);
        let numerator = kept.parse::<i128>().unwrap_or(0) * factor;
        let whole_of_fraction = numerator / tenths;
        let fraction_nanos = divide_up((numerator % tenths) * power(-NANO), tenths);
        let sticky = i128::from(cut.bytes().any(|digit| digit != b'0'));
        whole.saturating_add(whole_of_fraction).saturating_mul(power(-NANO)).saturating_add(fraction_nanos + sticky)
    }
}

fn leading_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// Letters, a sign, digits, and nothing after them.
fn check_suffix(suffix: &str) -> Result<(), QuantityError> {
    let rest = suffix.trim_start_matches(|letter| "eEinumkKMGTP".contains(letter));
    let digits = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { Ok(()) } else { Err(QuantityError::Format) }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Quantity, QuantityError> {
        Quantity::parse(text)
    }
}

impl fmt::Display for Quantity {
    /// The canonical text: no fraction, the largest suffix that allows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        match (self.printable_format(), self.whole()) {
            (Format::BinarySi, Some(whole)) => {
                let steps = (whole.trailing_zeros() / 10).min(BINARY.len() as u32) as usize;
                let suffix = if steps == 0 { "" } else { BINARY[steps - 1].0 };
                write!(f, "{}{suffix}", whole >> (10 * steps))
            }
            (format, _) => self.fmt_decimal(f, format),
        }
    }
}

impl Quantity {
    fn fmt_decimal(&self, f: &mut fmt::Formatter<'_>, format: Format) -> fmt::Result {
        let (mut number, mut exponent) = (self.mantissa, self.scale);
        while number % 10 == 0 {
            (number, exponent) = (number / 10, exponent + 1);
        }
        let extra = exponent.rem_euclid(3);
        (number, exponent) = (number * power(extra), exponent - extra);
        if format == Format::DecimalExponent {
            return if exponent == 0 { write!(f, "{number}") } else { write!(f, "{number}e{exponent}") };
        }
        let suffix = DECIMAL.iter().find(|(_, power)| *power == exponent).map_or("", |(name, _)| name);
        write!(f, "{number}{suffix}")
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        let scale = self.scale.min(other.scale);
        self.rescaled(scale).cmp(&other.rescaled(scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_text_has_one_canonical_form() {
        let table = [
            ("0", "0"),
            ("000", "0"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("100m", "100m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1023", "1023"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("100k", "100k"),
            ("1000k", "1M"),
            ("12e6", "12e6"),
            ("1e3", "1e3"),
            ("1E", "1E"),
            ("1E3", "1e3"),
            ("100000", "100k"),
            ("+1", "1"),
            ("-1.5", "-1500m"),
            ("0.0000000001", "1n"),
            ("1.1Mi", "1153433600m"),
            ("9223372036854775807", "9223372036854775807"),
            ("99999999999999999999", "99999999999999999999"),
            ("2.5e-3", "2500e-6"),
            ("1.", "1"),
            (".5", "500m"),
        ];
        for (text, canonical) in table {
            assert_eq!(Quantity::parse(text).unwrap().to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn errors_use_the_official_words() {
        for text in ["", "1.1.M", "1+1.0M", "0.1am", "aoeu", "1 ", " 1", "one"] {
            assert_eq!(Quantity::parse(text), Err(QuantityError::Format), "{text}");
        }
        for text in
            ["1i", "0.1mi", ".5i", "-3.01i", "-3.01e-", "1mm", "1KiB".trim_end_matches('B').trim_end_matches('i')]
        {
            assert_eq!(Quantity::parse(text), Err(QuantityError::Suffix), "{text}");
        }
    }

    #[test]
    fn values_round_away_from_zero() {
        let value = |text: &str| Quantity::parse(text).unwrap();
        assert_eq!(value("1500m").value(), 2);
        assert_eq!(value("-1500m").value(), -2);
        assert_eq!(value("1u").milli_value(), 1);
        assert_eq!(value("2").milli_value(), 2000);
        assert_eq!(value("100m").plus(value("0.9")).to_string(), "1");
        assert_eq!(value("1Gi").minus(value("512Mi")).to_string(), "512Mi");
        assert!(value("1Gi") > value("1G"));
        assert_eq!(value("1000m"), value("1"));
    }

    proptest! {
        #[test]
        fn canonical_text_is_stable_and_keeps_the_number(
            mantissa in -999_999_999i64..999_999_999,
            suffix in proptest::sample::select(vec!["n", "u", "m", "", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "e-2"]),
        ) {
            let quantity = Quantity::parse(&format!("{mantissa}{suffix}")).unwrap();
            let again = Quantity::parse(&quantity.to_string()).unwrap();
            prop_assert_eq!(quantity, again);
            prop_assert_eq!(quantity.to_string(), again.to_string());
        }

        #[test]
        fn sums_agree_with_integers(a in -1_000_000_000i64..1_000_000_000, b in -1_000_000_000i64..1_000_000_000) {
            let sum = Quantity::from_millis(a).plus(Quantity::from_millis(b));
            prop_assert_eq!(sum.milli_value(), a + b);
            prop_assert_eq!(Quantity::from_millis(a).cmp(&Quantity::from_millis(b)), a.cmp(&b));
        }
    }
}
