//! The texts of google.protobuf.Timestamp, Duration and FieldMask.

use crate::number::Text;
use std::fmt::Write;

const LEAST_SECOND: i64 = -62_135_596_800; // 0001-01-01
const MOST_SECOND: i64 = 253_402_300_799; // 9999-12-31
const LONGEST: i64 = 315_576_000_000;
const NANOS: i32 = 999_999_999;

/// Seconds and nanoseconds since 1970 of a text as RFC 3339 has it.
pub fn timestamp(text: &str) -> Option<(i64, i32)> {
    let b = text.as_bytes();
    let digits = |from: usize, to: usize| -> Option<i64> {
        b.get(from..to)?.iter().try_fold(0, |n, c| if c.is_ascii_digit() { Some(n * 10 + (c - b'0') as i64) } else { None })
    };
    let at = |i: usize, c: u8| if b.get(i) == Some(&c) { Some(()) } else { None };
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let (hour, minute, second) = (digits(11, 13)?, digits(14, 16)?, digits(17, 19)?);
    for (i, c) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
        at(i, c)?;
    }
    let mut end = 19;
    let mut nanos = 0;
    if at(19, b'.').is_some() {
        let n = b[20..].iter().take_while(|c| c.is_ascii_digit()).count();
        if !(1..=9).contains(&n) {
            return None;
        }
        nanos = digits(20, 20 + n)? as i32 * 10i32.pow(9 - n as u32);
        end = 20 + n;
    }
    let offset = match (b.get(end)?, b.len() - end) {
        (b'Z', 1) => 0,
        (sign @ (b'+' | b'-'), 6) => {
            at(end + 3, b':')?;
            let (hours, minutes) = (digits(end + 1, end + 3)?, digits(end + 4, end + 6)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = hours * 3600 + minutes * 60;
            if *sign == b'+' { offset } else { -offset }
        }
        _ => return None,
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + leap as i64,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Some((seconds, nanos)).filter(|_| (LEAST_SECOND..=MOST_SECOND).contains(&seconds))
}

/// Days in the proleptic Gregorian calendar. A year begins with March here, so
/// that its leap day is the last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    before + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// Year, month and day.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (last, month) = if month < 10 { (0, month + 3) } else { (1, month - 9) };
    (era * 400 + year + last, month, day - (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + 1)
}

pub fn write_timestamp(out: &mut Vec<u8>, seconds: i64, nanos: i32) -> Option<()> {
    if !(LEAST_SECOND..=MOST_SECOND).contains(&seconds) || !(0..=NANOS).contains(&nanos) {
        return None;
    }
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    write!(Text(out), "\"{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", year, month, day, hour, minute, second).ok()?;
    fraction(out, nanos);
    out.extend(b"Z\"");
    Some(())
}

/// 0, 3, 6 or 9 digits behind the point.
fn fraction(out: &mut Vec<u8>, nanos: i32) {
    let _ = match nanos {
        0 => Ok(()),
        n if n % 1_000_000 == 0 => write!(Text(out), ".{:03}", n / 1_000_000),
        n if n % 1_000 == 0 => write!(Text(out), ".{:06}", n / 1_000),
        n => write!(Text(out), ".{:09}", n),
    };
}

/// Seconds and nanoseconds of `1.5s`; also `.5s`, `1.s`, `+1s`.
pub fn duration(text: &str) -> Option<(i64, i32)> {
    let text = text.strip_suffix('s')?;
    let negative = text.starts_with('-');
    let text = text.strip_prefix(|c| matches!(c, '-' | '+')).unwrap_or(text);
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None if text.is_empty() => return None,
        None => (text, ""),
    };
    let number = |t: &str| t.bytes().all(|c| c.is_ascii_digit());
    if !number(whole) || !number(fraction) || fraction.len() > 9 || whole.len() > 1 && whole.starts_with('0') {
        return None;
    }
    let seconds: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let nanos: i32 = format!("{:0<9}", fraction).parse().ok()?;
    if seconds > LONGEST {
        return None;
    }
    Some(if negative { (-seconds, -nanos) } else { (seconds, nanos) })
}

pub fn write_duration(out: &mut Vec<u8>, seconds: i64, nanos: i32) -> Option<()> {
    let mixed = seconds > 0 && nanos < 0 || seconds < 0 && nanos > 0;
    if !(-LONGEST..=LONGEST).contains(&seconds) || !(-NANOS..=NANOS).contains(&nanos) || mixed {
        return None;
    }
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    write!(Text(out), "\"{}{}", sign, seconds.abs()).ok()?;
    fraction(out, nanos.abs());
    out.extend(b"s\"");
    Some(())
}

/// The path of a field mask as Protobuf has it; none if it is none.
pub fn snake(path: &str) -> Option<String> {
    let mut out = String::new();
    for c in path.chars() {
        match c {
            '_' => return None,
            'A'..='Z' => {
                out.push('_');
                out.push(c.to_ascii_lowercase());
            }
            c => out.push(c),
        }
    }
    Some(out).filter(|p| is_path(p))
}

/// The path as JSON has it; none if it is none, or would not come back as it was.
pub fn camel(path: &str) -> Option<String> {
    let out = crate::schema::camel(path);
    if is_path(path) && snake(&out).as_deref() == Some(path) {
        Some(out)
    } else {
        None
    }
}

fn is_path(path: &str) -> bool {
    let name = |n: &str| {
        !n.is_empty() && !n.as_bytes()[0].is_ascii_digit() && n.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
    };
    path.split('.').all(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day() {
        for days in (-719_162..2_932_896).step_by(17) {
            let (year, month, day) = date(days);
            assert_eq!(days_since_1970(year, month, day), days);
        }
        assert_eq!((date(0), date(-1), date(19_782)), ((1970, 1, 1), (1969, 12, 31), (2024, 2, 29)));
    }

    #[test]
    fn timestamps() {
        assert_eq!(timestamp("1970-01-01T00:00:01.5Z"), Some((1, 500_000_000)));
        assert_eq!(timestamp("2024-02-29T12:00:00+02:30"), Some((1_709_199_000, 0)));
        for text in ["", "2023-02-29T00:00:00Z", "2024-02-29T24:00:00Z", "2024-02-29T00:00:00", "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59-00:01", "2024-02-29T00:00:00.Z", "2024-02-29T00:00:00.0123456789Z", "2024-2-29T00:00:00Z"] {
            assert_eq!(timestamp(text), None, "{}", text);
        }
    }
}
