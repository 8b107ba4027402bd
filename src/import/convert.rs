//! From a row's text to a field's value.

use crate::TimestampMs;
use jiff::{
    Timestamp,
    civil::DateTime,
    fmt::strtime::{self, BrokenDownTime},
    tz::TimeZone,
};
use serde_json::Value;

/// How a field's value is made of a row's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Conversion {
    #[default]
    Text,
    Integer,
    /// Decimal text with at most 2 decimal places, as an integer of minor units.
    Cents,
    Boolean,
    TimestampMs,
}

/// How times are written: strftime's letters.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub(super) struct TimeFormat(String);

impl Conversion {
    /// The value of `text`, or what is wrong with it.
    pub(super) fn value(self, text: &str, format: Option<&TimeFormat>) -> Result<Value, String> {
        if text.is_empty() && self != Conversion::Text {
            return Err("is empty".to_owned());
        }
        match self {
            Conversion::Text => Ok(text.into()),
            Conversion::Integer => integer(text).map(Value::from),
            Conversion::Cents => cents(text).map(Value::from),
            Conversion::Boolean => match text {
                "true" | "1" => Ok(true.into()),
                "false" | "0" => Ok(false.into()),
                _ => Err(format!("{} is not true, false, 1 or 0", quoted(text))),
            },
            Conversion::TimestampMs => timestamp(text, format).map(|time| time.0.into()),
        }
    }
}

impl TryFrom<String> for TimeFormat {
    type Error = String;

    fn try_from(format: String) -> Result<Self, String> {
        match strtime::format(&format, &Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC)) {
            Ok(_) => Ok(TimeFormat(format)),
            Err(e) => Err(format!("{format:?} is not a time's format: {e}")),
        }
    }
}

/// The time in `text`: RFC 3339 or a date, or what `format` says. Without an
/// offset it is UTC; without a time of day, midnight.
pub(super) fn timestamp(text: &str, format: Option<&TimeFormat>) -> Result<TimestampMs, String> {
    let time = match format {
        None => text.parse::<Timestamp>().or_else(|e| {
            // A zone's name in brackets would be read and passed over.
            let local: DateTime = if text.contains('[') { return Err(e) } else { text.parse()? };
            TimeZone::UTC.to_timestamp(local)
        }),
        Some(TimeFormat(format)) => BrokenDownTime::parse(format, text).and_then(|parts| {
            if parts.offset().is_some() || parts.timestamp().is_some() {
                parts.to_timestamp()
            } else {
                TimeZone::UTC.to_timestamp(parts.to_datetime()?)
            }
        }),
    };
    match (time, format) {
        (Ok(time), _) => Ok(TimestampMs(time.as_millisecond())),
        (Err(_), None) => Err(format!("{} is neither an RFC 3339 time nor a date", quoted(text))),
        (Err(e), Some(TimeFormat(format))) => Err(format!("{} is not a time as {format:?} says: {e}", quoted(text))),
    }
}

/// A row's text for a message: quoted, and cut when it is long.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN_CHARS: usize = 40;
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((cut, _)) => format!("{:?}…", &text[..cut]),
        None => format!("{text:?}"),
    }
}

fn integer(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{} is not an integer", quoted(text)));
    }
    text.parse().map_err(|_| format!("{} does not fit 64 bits", quoted(text)))
}

fn cents(text: &str) -> Result<i64, String> {
    let (whole, places) = text.split_once('.').unwrap_or((text, "00"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole.strip_prefix('-').unwrap_or(whole)) || !all_digits(places) {
        return Err(format!("{} is not a decimal number such as 12.50", quoted(text)));
    }
    let places = match places.len() {
        1 => format!("{places}0"),
        2 => places.to_owned(),
        _ => return Err(format!("{} has more than 2 decimal places", quoted(text))),
    };
    format!("{whole}{places}").parse().map_err(|_| format!("{} does not fit 64 bits as cents", quoted(text)))
}
