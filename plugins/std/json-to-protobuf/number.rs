//! Numbers between their JSON and their machine forms.

use std::fmt::Write;

/// A JSON number that is an integer, in whatever form, as its digits.
pub fn integer(text: &str) -> Option<i128> {
    const MOST: i32 = 40;
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = text.split_once(|c| matches!(c, 'e' | 'E')).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let whole = if whole == "0" { "" } else { whole };
    if whole.is_empty() && fraction.is_empty() {
        return Some(0);
    }
    let shift = exponent.parse::<i32>().ok()?.checked_sub(fraction.len() as i32)?;
    let digits = [whole, fraction].concat();
    let n = if shift >= 0 {
        if digits.len() as i32 > MOST || shift > MOST {
            return None;
        }
        digits.parse::<i128>().ok()?.checked_mul(10i128.checked_pow(shift as u32)?)?
    } else {
        // Only zeros may be behind the point.
        let keep = digits.len().checked_sub(shift.unsigned_abs() as usize)?;
        let (kept, gone) = digits.split_at(keep);
        if gone.bytes().any(|c| c != b'0') || kept.len() as i32 > MOST || !fraction.is_empty() {
            return None;
        }
        if kept.is_empty() { 0 } else { kept.parse::<i128>().ok()? }
    };
    Some(if negative { -n } else { n })
}

/// Writes a floating-point number as JSON: the fewest digits that read as the same, and
/// of two as near the one whose last digit is even, as protobuf's own writers do.
pub fn float(out: &mut Vec<u8>, n: f64, single: bool) {
    let start = out.len();
    let mut text = Text(out);
    let word = match n {
        n if n.is_nan() => "\"NaN\"",
        n if n == f64::INFINITY => "\"Infinity\"",
        n if n == f64::NEG_INFINITY => "\"-Infinity\"",
        _ => "",
    };
    let size = n.abs();
    let _ = match (word, size != 0.0 && !(1e-6..1e21).contains(&size), single) {
        ("", false, false) => write!(text, "{}", n),
        ("", false, true) => write!(text, "{}", n as f32),
        ("", true, false) => write!(text, "{:e}", n),
        ("", true, true) => write!(text, "{:e}", n as f32),
        (word, ..) => text.write_str(word),
    };
    if word.is_empty() {
        even(&mut out[start..], n, single);
    }
}

/// Makes the last digit of the shortest text of a number one less, where it is odd and
/// the number lies in the middle between both. Only one with a point can: a whole number,
/// or one below 1e-6, would take more digits than it has to end in a 5.
fn even(text: &mut [u8], n: f64, single: bool) {
    let last = text.len() - 1;
    let digits = match text.iter().position(|&c| c == b'.') {
        Some(point) if text[last] % 2 == 1 && !text.contains(&b'e') => last - point,
        _ => return,
    };
    // It has one digit more, a 5, if it is an odd number of so many halves of halves.
    if (n * 2f64.powi(digits as i32 + 1)).abs() % 2.0 != 1.0 {
        return;
    }
    text[last] -= 1;
    let lower = std::str::from_utf8(text).unwrap_or("");
    let same = if single { lower.parse() == Ok(n as f32) } else { lower.parse() == Ok(n) };
    if !same || format!("{:.*}", digits + 1, n).as_bytes().strip_suffix(b"5") != Some(text) {
        text[last] += 1;
    }
}

/// Writes text behind bytes.
pub struct Text<'a>(pub &'a mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        self.0.extend_from_slice(s.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats() {
        for (n, single, want) in [
            (-6.00390625, true, "-6.0039062"), (6.00390625, false, "6.00390625"), (1125899906842624.25, false, "1125899906842624.2"),
            (1125899906842624.75, false, "1125899906842624.8"), (1125899906842625.25, false, "1125899906842625.2"), (0.5, true, "0.5"), (0.1, false, "0.1"),
            (5e-324, false, "5e-324"), (1e21, false, "1e21"), (16777217.0, false, "16777217"), (0.3, true, "0.3"), (-0.0, false, "-0"),
        ] {
            let mut out = b"x".to_vec();
            float(&mut out, n, single);
            assert_eq!(String::from_utf8(out).unwrap(), format!("x{}", want));
        }
    }

    #[test]
    fn integers() {
        for (text, want) in [
            ("0", Some(0)), ("-0", Some(0)), ("12", Some(12)), ("-12", Some(-12)), ("1e3", Some(1000)), ("1.50e1", Some(15)),
            ("100e-2", Some(1)), ("0e9999999999", Some(0)), ("18446744073709551615", Some(u64::MAX as i128)),
            ("1.5", None), ("1e-1", None), ("1e99", None), ("1.25e1", None), ("1e9999999999", None),
        ] {
            assert_eq!(integer(text), want, "{}", text);
        }
    }
}
