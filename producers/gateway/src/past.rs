//! Points in the past, as requests name them.

use factum_core::{Error, Result, TimestampMs, Version};
use std::{fmt, str::FromStr};

/// Which of an event's two times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// When it occurred: given with the command, else the handler's clock. Not
    /// always in the order of versions: an import records late what occurred early.
    #[default]
    Occurred,
    /// When the handler recorded it; never going back within an aggregate.
    Recorded,
}

impl Clock {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Clock::Occurred => "occurred",
            Clock::Recorded => "recorded",
        }
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Clock {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "occurred" => Ok(Clock::Occurred),
            "recorded" => Ok(Clock::Recorded),
            _ => Err(Error::invalid(format!("{text:?} is neither occurred nor recorded"))),
        }
    }
}

/// A point in an aggregate's past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// After the event of that version; version 0 is before the first one.
    Version(Version),
    /// With the events up to and including that time. By the time recorded it is
    /// what was known then. By the time occurred it is what is known now of then:
    /// the events that had occurred by then, in the order of versions, without
    /// those between them that occurred later.
    Time(TimestampMs, Clock),
}

/// Reads a time: RFC 3339 (`2026-01-31T12:00:00Z`), or a date, which begins at midnight UTC.
///
/// # Errors
/// `Invalid`: it is neither.
pub fn parse_time(text: &str) -> Result<TimestampMs> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(TimestampMs(time.as_millisecond()));
    }
    // A text with more than a date would lose it.
    let date = Some(text).filter(|text| text.len() == 10).and_then(|text| text.parse::<jiff::civil::Date>().ok());
    date.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok())
        .map(|time| TimestampMs(time.timestamp().as_millisecond()))
        .ok_or_else(|| {
            Error::invalid(format!("{text:?} is not a time: 2026-01-31T12:00:00Z or 2026-01-31 is expected"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_rfc_3339_or_a_date() {
        assert_eq!(parse_time("1970-01-01T00:00:01.5Z").unwrap(), TimestampMs(1_500));
        assert_eq!(parse_time("1970-01-01T02:00:00+02:00").unwrap(), TimestampMs(0));
        assert_eq!(parse_time("1970-01-02").unwrap(), TimestampMs(86_400_000));
        for wrong in ["", "yesterday", "1970-13-01", "1970-01-01T00:00:00", "19700101"] {
            assert!(parse_time(wrong).unwrap_err().to_string().contains("is not a time"), "{wrong}");
        }
        assert_eq!("recorded".parse::<Clock>().unwrap(), Clock::Recorded);
        assert!("then".parse::<Clock>().is_err());
    }
}
