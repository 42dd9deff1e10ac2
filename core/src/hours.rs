//! Operating hours with holidays and time zones (HOURS-01). The zone's rules are compiled in, so
//! that the same instant is inside or outside on every machine, and in a replay years later.

use std::collections::BTreeMap;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{ToSpan, Zoned};
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Minutes of a day, `0..=1440`, from and to; the end is outside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Stretch {
    /// First minute inside.
    pub from: u16,
    /// First minute outside; 1440 is midnight.
    pub to: u16,
}

impl Stretch {
    /// Reads `09:00-17:30`; `24:00` is the end of the day.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" isn't a stretch of a day such as \"09:00-17:30\"; one over midnight is written as two, \"22:00-24:00\" and \"00:00-06:00\" of the next day"
            )
        };
        let (from, to) = text.split_once('-').ok_or_else(wrong)?;
        let minute = |clock: &str| -> Option<u16> {
            let (hour, minute) = clock.trim().split_once(':')?;
            let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
            (minute < 60 && hour * 60 + minute <= 1440).then_some(hour * 60 + minute)
        };
        let stretch =
            Self { from: minute(from).ok_or_else(wrong)?, to: minute(to).ok_or_else(wrong)? };
        (stretch.from < stretch.to).then_some(stretch).ok_or_else(wrong)
    }
}

/// Hours as the configuration has them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct HoursSpec {
    /// An IANA name such as `Europe/Berlin`.
    pub zone: String,
    /// Monday to Sunday.
    pub week: [Vec<Stretch>; 7],
    /// Days that differ, as `2026-12-25`; without a stretch it is a holiday.
    pub days: BTreeMap<String, Vec<Stretch>>,
}

/// Hours ready for use.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "HoursSpec", into = "HoursSpec")]
pub struct Hours {
    spec: HoursSpec,
    zone: TimeZone,
    days: BTreeMap<Date, Vec<Stretch>>,
}

impl PartialEq for Hours {
    fn eq(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
}

impl From<Hours> for HoursSpec {
    fn from(hours: Hours) -> Self {
        hours.spec
    }
}

impl TryFrom<HoursSpec> for Hours {
    type Error = String;

    fn try_from(spec: HoursSpec) -> Result<Self, String> {
        let zone = zone(&spec.zone)?;
        let mut days = BTreeMap::new();
        for (day, stretches) in &spec.days {
            let date: Date =
                day.parse().map_err(|_| format!("\"{day}\" isn't a day such as \"2026-12-25\""))?;
            days.insert(date, stretches.clone());
        }
        Ok(Self { spec, zone, days })
    }
}

/// The zone of that name.
///
/// # Errors
/// A sentence if there is none.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZoneDatabase::bundled()
        .get(name)
        .map_err(|_| format!("there is no time zone \"{name}\"; it looks like \"Europe/Berlin\""))
}

impl Hours {
    /// Whether the instant is inside.
    pub fn is_open(&self, at: Timestamp) -> bool {
        let Some(local) = self.local(at) else { return false };
        self.edges(local.date()).any(|(from, to)| from <= at && at < to)
    }

    /// The next instant after `at` at which [`Hours::is_open`] changes; `None` if it doesn't within
    /// a year.
    pub fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        const LOOK_AHEAD_DAYS: usize = 370;
        let is_open = self.is_open(at);
        let mut day = self.local(at)?.date();
        for _ in 0..LOOK_AHEAD_DAYS {
            let mut edges: Vec<Timestamp> =
                self.edges(day).flat_map(|(from, to)| [from, to]).filter(|e| *e > at).collect();
            edges.sort_unstable();
            // Stretches may touch, over midnight as well: an edge counts only if it changes something.
            let change = edges.into_iter().find(|edge| self.is_open(*edge) != is_open);
            if change.is_some() {
                return change;
            }
            day = day.checked_add(1.day()).ok()?;
        }
        None
    }

    fn stretches(&self, day: Date) -> &[Stretch] {
        if let Some(stretches) = self.days.get(&day) {
            return stretches;
        }
        let weekday: Weekday = day.weekday();
        &self.spec.week[weekday.to_monday_zero_offset() as usize]
    }

    /// The day's stretches as instants. A wall-clock time that daylight saving skips or repeats is
    /// taken as its zone's rules say (the later side of a gap, the first of two).
    fn edges(&self, day: Date) -> impl Iterator<Item = (Timestamp, Timestamp)> + '_ {
        self.stretches(day).iter().filter_map(move |stretch| {
            Some((self.instant(day, stretch.from)?, self.instant(day, stretch.to)?))
        })
    }

    fn instant(&self, day: Date, minute: u16) -> Option<Timestamp> {
        let (day, minute) = match minute {
            1440 => (day.checked_add(1.day()).ok()?, 0),
            minute => (day, minute),
        };
        let clock = Time::new((minute / 60) as i8, (minute % 60) as i8, 0, 0).ok()?;
        let zoned = day.to_datetime(clock).to_zoned(self.zone.clone()).ok()?;
        Some(Timestamp(zoned.timestamp().as_millisecond()))
    }

    fn local(&self, at: Timestamp) -> Option<Zoned> {
        let instant = jiff::Timestamp::from_millisecond(at.0).ok()?;
        Some(instant.to_zoned(self.zone.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn office(zone: &str) -> Hours {
        let day = vec![Stretch::parse("09:00-17:00").unwrap()];
        let mut spec = HoursSpec { zone: zone.into(), ..HoursSpec::default() };
        for weekday in 0..5 {
            spec.week[weekday] = day.clone();
        }
        spec.days.insert("2026-12-25".into(), vec![]);
        spec.days.insert("2026-12-24".into(), vec![Stretch::parse("09:00-12:00").unwrap()]);
        Hours::try_from(spec).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    // HOURS-01
    #[test]
    fn the_local_clock_counts_winter_and_summer() {
        let berlin = office("Europe/Berlin");
        assert!(!berlin.is_open(at("2026-01-12T07:59:59Z")));
        assert!(berlin.is_open(at("2026-01-12T08:00:00Z")), "09:00 in winter is 08:00 UTC");
        assert!(berlin.is_open(at("2026-07-13T07:00:00Z")), "09:00 in summer is 07:00 UTC");
        assert!(!berlin.is_open(at("2026-07-13T15:00:00Z")), "17:00 is outside");
        assert!(!berlin.is_open(at("2026-01-10T10:00:00Z")), "a Saturday");
        assert!(!berlin.is_open(at("2026-12-25T10:00:00Z")), "a holiday");
        assert!(!berlin.is_open(at("2026-12-24T12:00:00Z")), "closed early");
    }

    // HOURS-01
    #[test]
    fn the_next_change_is_found_across_weekends_holidays_and_clock_changes() {
        let berlin = office("Europe/Berlin");
        let next = |text: &str| berlin.next_change(at(text)).unwrap();
        assert_eq!(next("2026-01-12T08:00:00Z"), at("2026-01-12T16:00:00Z"));
        assert_eq!(next("2026-12-24T11:30:00Z"), at("2026-12-28T08:00:00Z"), "over Christmas");
        // Clocks go forward in the night to 29 March 2026.
        assert_eq!(next("2026-03-27T16:00:00Z"), at("2026-03-30T07:00:00Z"));
        let never = Hours::try_from(HoursSpec { zone: "UTC".into(), ..HoursSpec::default() });
        assert_eq!(never.unwrap().next_change(at("2026-01-01T00:00:00Z")), None);
    }

    // HOURS-01
    #[test]
    fn a_night_shift_is_one_stretch_though_it_is_written_as_two() {
        let mut spec = HoursSpec { zone: "Europe/Lisbon".into(), ..HoursSpec::default() };
        for day in &mut spec.week {
            *day = vec![
                Stretch::parse("00:00-06:00").unwrap(),
                Stretch::parse("22:00-24:00").unwrap(),
            ];
        }
        let night = Hours::try_from(spec).unwrap();
        assert!(
            night.is_open(at("2026-01-12T23:59:59Z")) && night.is_open(at("2026-01-13T00:00:00Z"))
        );
        assert_eq!(night.next_change(at("2026-01-12T22:00:00Z")), Some(at("2026-01-13T06:00:00Z")));
    }

    #[test]
    fn what_isnt_a_stretch_or_a_zone_is_refused() {
        for text in ["9-17", "17:00-09:00", "09:00-25:00", "09:60-10:00", "09:00"] {
            assert!(Stretch::parse(text).is_err(), "{text}");
        }
        assert!(zone("Europe/Atlantis").unwrap_err().contains("Europe/Berlin"));
    }
}
