//! Logical types as text.

use jiff::{Span, Timestamp, civil, tz::TimeZone};
use num_bigint::BigInt;
use std::fmt::Write;

/// The digits behind the second's point, and the nanoseconds of one unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit {
    digits: usize,
    nanos: i128,
}

pub(super) const MILLIS: Unit = Unit { digits: 3, nanos: 1_000_000 };
pub(super) const MICROS: Unit = Unit { digits: 6, nanos: 1_000 };
pub(super) const NANOS: Unit = Unit { digits: 9, nanos: 1 };

const SECOND: i128 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;
/// The longest text of a number that is looked at.
const MAX_NUMBER_TEXT: usize = 1_000;

impl Unit {
    /// How many units it is, if it is a whole number of them and an `i64` can hold it.
    fn count(self, nanos: i128, text: &str) -> Result<i64, String> {
        if nanos % self.nanos != 0 {
            return Err(format!("{text:?} has more than {} digits behind the second", self.digits));
        }
        i64::try_from(nanos / self.nanos).map_err(|_| format!("{text:?} is too far from 1970"))
    }
}

/// An instant as RFC 3339; none beyond the years 9999.
pub(super) fn timestamp(count: i64, unit: Unit) -> Option<String> {
    let at = Timestamp::from_nanosecond(i128::from(count) * unit.nanos).ok()?;
    Some(format!("{at:.*}", unit.digits))
}

pub(super) fn parse_timestamp(text: &str, unit: Unit) -> Result<i64, String> {
    let at: Timestamp =
        text.parse().map_err(|_| format!("{text:?} is not a time: \"2026-01-31T12:00:00Z\" is expected"))?;
    unit.count(at.as_nanosecond(), text)
}

/// Date and time without a zone.
pub(super) fn local_timestamp(count: i64, unit: Unit) -> Option<String> {
    let at = Timestamp::from_nanosecond(i128::from(count) * unit.nanos).ok()?;
    Some(format!("{:.*}", unit.digits, at.to_zoned(TimeZone::UTC).datetime()))
}

pub(super) fn parse_local_timestamp(text: &str, unit: Unit) -> Result<i64, String> {
    let wrong = |_| format!("{text:?} is not a date and time without a zone: \"2026-01-31T12:00:00\" is expected");
    let at: civil::DateTime = text.parse().map_err(wrong)?;
    let at = at.to_zoned(TimeZone::UTC).map_err(wrong)?;
    unit.count(at.timestamp().as_nanosecond(), text)
}

pub(super) fn date(days: i32) -> Option<String> {
    let at = Timestamp::from_second(i64::from(days).checked_mul(DAY_SECONDS)?).ok()?;
    Some(at.to_zoned(TimeZone::UTC).date().to_string())
}

pub(super) fn parse_date(text: &str) -> Result<i32, String> {
    let wrong = || format!("{text:?} is not a date: \"2026-01-31\" is expected");
    // A time behind the date would be lost.
    let date = text.parse::<civil::Date>().ok().filter(|date| date.to_string() == text).ok_or_else(wrong)?;
    let at = date.to_zoned(TimeZone::UTC).map_err(|_| wrong())?;
    i32::try_from(at.timestamp().as_second().div_euclid(DAY_SECONDS)).map_err(|_| wrong())
}

/// A time of day; none where the number is none.
pub(super) fn time(count: i64, unit: Unit) -> Option<String> {
    let nanos = i128::from(count) * unit.nanos;
    let (seconds, rest) = (nanos.div_euclid(SECOND), nanos.rem_euclid(SECOND));
    (0..i128::from(DAY_SECONDS)).contains(&seconds).then(|| {
        let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        format!("{hours:02}:{minutes:02}:{seconds:02}.{:0digits$}", rest / unit.nanos, digits = unit.digits)
    })
}

pub(super) fn parse_time(text: &str, unit: Unit) -> Result<i64, String> {
    let wrong = |_| format!("{text:?} is not a time of day: \"12:00:00.000\" is expected");
    let time: civil::Time = text.parse().map_err(wrong)?;
    let seconds = i128::from(time.hour()) * 3_600 + i128::from(time.minute()) * 60 + i128::from(time.second());
    unit.count(seconds * SECOND + i128::from(time.subsec_nanosecond()), text)
}

/// Months, days and milliseconds as ISO 8601.
pub(super) fn duration([months, days, millis]: [u32; 3]) -> String {
    let mut text = "P".to_owned();
    for (count, unit) in [(months, 'M'), (days, 'D')] {
        if count > 0 {
            // Writing to a String does not fail.
            write!(text, "{count}{unit}").unwrap_or_default();
        }
    }
    if millis > 0 || text == "P" {
        write!(text, "T{}.{:03}S", millis / 1_000, millis % 1_000).unwrap_or_default();
    }
    text
}

pub(super) fn parse_duration(text: &str) -> Result<[u32; 3], String> {
    let wrong = || format!("{text:?} is not a duration: \"P1M2DT3.004S\" is expected");
    let span: Span =
        Some(text).filter(|text| text.starts_with('P')).and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
    let months = i64::from(span.get_years()) * 12 + i64::from(span.get_months());
    let days = i64::from(span.get_weeks()) * 7 + i64::from(span.get_days());
    let minutes = i128::from(span.get_hours()) * 60 + i128::from(span.get_minutes());
    let millis = (minutes * 60 + i128::from(span.get_seconds())) * 1_000 + i128::from(span.get_milliseconds());
    if span.get_microseconds() != 0 || span.get_nanoseconds() != 0 {
        return Err(format!("{text:?} has more than 3 digits behind the second"));
    }
    let parts = [u32::try_from(months).ok(), u32::try_from(days).ok(), u32::try_from(millis).ok()];
    let [Some(months), Some(days), Some(millis)] = parts else {
        return Err(format!(
            "{text:?} is out of range: each of months, days and milliseconds is from 0 to {}",
            u32::MAX
        ));
    };
    Ok([months, days, millis])
}

/// An unscaled number with its point.
pub(super) fn decimal(unscaled: &BigInt, scale: usize) -> String {
    let text = unscaled.to_string();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

/// The unscaled number of a text such as `-12.5`.
pub(super) fn parse_decimal(text: &str, precision: usize, scale: usize) -> Result<BigInt, String> {
    let wrong = || format!("{text:?} is not a decimal number: text such as \"12.50\" is expected");
    if !is_plain_number(text) {
        return Err(wrong());
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > scale {
        return Err(format!("{text:?} has {} digits behind the point, the limit is {scale}", part.len()));
    }
    let unscaled: BigInt = format!("{whole}{part:0<scale$}").parse().map_err(|_| wrong())?;
    let digits = unscaled.magnitude().to_string().len();
    if digits > precision {
        return Err(format!("{text:?} has more than the {precision} digits that its type holds"));
    }
    Ok(unscaled)
}

/// Digits with at most one point between them and at most one sign before them.
pub(super) fn is_plain_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.strip_prefix('-').unwrap_or(text);
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    text.len() <= MAX_NUMBER_TEXT && digits(whole) && digits(part)
}
