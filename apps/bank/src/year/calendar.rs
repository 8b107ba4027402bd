//! When things happen in a bank.

use super::draw::Draw;
use jiff::{
    ToSpan,
    civil::{Date, Weekday},
    tz::TimeZone,
};

pub(super) const HOUR_MS: i64 = 3_600_000;

/// How busy the hours of a working day are for cards, from midnight on.
const WORKING_HOURS: [u32; 24] = [0, 0, 0, 0, 0, 0, 1, 4, 5, 3, 3, 5, 10, 8, 4, 4, 6, 10, 12, 9, 5, 3, 2, 1];
/// The same on Saturdays and Sundays.
const WEEKEND_HOURS: [u32; 24] = [0, 0, 0, 0, 0, 0, 0, 1, 3, 6, 10, 12, 11, 9, 9, 9, 8, 6, 6, 7, 6, 4, 3, 2];

/// One day of the year.
#[derive(Debug, Clone, Copy)]
pub(super) struct Day {
    pub(super) date: Date,
    /// From 0 on.
    pub(super) number: u32,
}

impl Day {
    /// All days of a year; none for one that there is not.
    pub(super) fn all(year: i16) -> Vec<Day> {
        let first = Date::new(year, 1, 1).ok();
        let dates = first.into_iter().flat_map(|first| first.series(1.day()).take_while(move |day| day.year() == year));
        (0..).zip(dates).map(|(number, date)| Day { date, number }).collect()
    }

    /// Its midnight, UTC, in milliseconds since 1970.
    pub(super) fn begin_ms(&self) -> i64 {
        self.date.to_zoned(TimeZone::UTC).map_or(0, |midnight| midnight.timestamp().as_millisecond())
    }

    /// How busy it is for cards, compared with other days.
    pub(super) fn weight(&self) -> u64 {
        let day = match self.date.weekday() {
            Weekday::Friday => 14,
            Weekday::Saturday => 18,
            Weekday::Sunday => 6,
            _ => 10,
        };
        // Presents.
        day * if self.date.month() == 12 { 13 } else { 10 }
    }

    /// When on this day a card is used, in milliseconds from midnight.
    pub(super) fn card_ms(&self, draw: &mut Draw) -> i64 {
        let hours = if self.is_weekend() { WEEKEND_HOURS } else { WORKING_HOURS };
        let hour = i64::from(draw.weighted(&hours));
        hour * HOUR_MS + i64::from(draw.below(3_600_000))
    }

    pub(super) fn is_first_of_month(&self) -> bool {
        self.date.day() == 1
    }

    /// Whether salaries are paid on it that are due `before_end` days before the month's
    /// end (fewer than 7): what is due on a weekend comes on the Friday before.
    pub(super) fn is_payday(&self, before_end: u8) -> bool {
        let left = self.days_left();
        let friday = self.date.weekday() == Weekday::Friday;
        !self.is_weekend() && (left == before_end || friday && (left == before_end + 1 || left == before_end + 2))
    }

    pub(super) fn is_end_of_quarter(&self) -> bool {
        self.date.month() % 3 == 0 && self.days_left() == 0
    }

    /// Days of its month after it.
    fn days_left(&self) -> u8 {
        self.date.days_in_month().abs_diff(self.date.day())
    }

    fn is_weekend(&self) -> bool {
        matches!(self.date.weekday(), Weekday::Saturday | Weekday::Sunday)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_month_has_one_working_payday() {
        for year in [2023, 2024, 2025, 2026] {
            for before_end in 0..=5 {
                let paydays: Vec<Date> =
                    Day::all(year).into_iter().filter(|day| day.is_payday(before_end)).map(|day| day.date).collect();
                let months: Vec<i8> = paydays.iter().map(|date| date.month()).collect();
                assert_eq!(months, (1..=12).collect::<Vec<i8>>(), "{before_end} before the end in {year}");
                assert!(paydays.iter().all(|date| date.weekday().to_monday_one_offset() <= 5));
            }
        }
    }

    #[test]
    fn a_year_has_all_its_days() {
        assert_eq!((Day::all(2024).len(), Day::all(2025).len()), (366, 365));
        assert_eq!(Day::all(1970)[1].begin_ms(), 24 * HOUR_MS);
        let ends: Vec<i8> =
            Day::all(2025).iter().filter(|day| day.is_end_of_quarter()).map(|d| d.date.month()).collect();
        assert_eq!(ends, [3, 6, 9, 12]);
    }
}
