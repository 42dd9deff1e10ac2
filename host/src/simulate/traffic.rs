//! What comes in, and how people behave.

use std::path::Path;

use cordboard_core::classification::Attributes;
use cordboard_core::time::{Span, Timestamp};
use rand::Rng;
use serde::Deserialize;

use crate::config::Duration;
use crate::journal::JournalError;
use crate::simulate::recorded::{self, Recorded};

/// Why traffic can't be read.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// No file, no journal, no rate.
    #[error(
        "`{0}` is no traffic: give a .ron file, a data folder with a journal, or RATE,HANDLING[,LENGTH] such as \"8/min,5m,8h\""
    )]
    Unknown(String),
    /// The file is wrong.
    #[error("{file}:{line}:{column}: {message}")]
    Wrong {
        /// Which file.
        file: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// It can't be read.
    #[error("{file}: {cause}")]
    Unreadable {
        /// Which file.
        file: String,
        /// The system's complaint.
        cause: String,
    },
}

/// How a length of time is spread.
#[derive(Clone, Copy, Debug, Deserialize)]
pub enum Spread {
    /// Always the same.
    Fixed(Duration),
    /// Exponential with this mean: many short, a few long.
    Exponential(Duration),
    /// Between two bounds, each as likely.
    Between(Duration, Duration),
}

impl Spread {
    /// One draw, in milliseconds.
    pub fn draw(&self, rng: &mut impl Rng) -> Span {
        match self {
            Self::Fixed(length) => length.0,
            Self::Exponential(mean) => Span(exponential(rng, mean.0.0 as f64).round() as i64),
            Self::Between(least, most) => {
                Span(rng.random_range(least.0.0..=most.0.0.max(least.0.0)))
            }
        }
    }
}

/// Exponential with this mean.
pub fn exponential(rng: &mut impl Rng, mean: f64) -> f64 {
    let unit: f64 = rng.random();
    -mean * (1.0 - unit).ln()
}

/// A stream of customers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Where they write; any channel of the configuration.
    #[serde(default)]
    pub channel: Option<String>,
    /// On average, at random (Poisson).
    #[serde(default)]
    pub per_minute: f64,
    /// Instead: per hour, from the hour at which the simulation begins; it repeats.
    #[serde(default)]
    pub by_hour: Vec<f64>,
    /// What they write; rules may look at it.
    #[serde(default)]
    pub text: String,
    /// Two letters, such as `DE`.
    #[serde(default)]
    pub country: Option<String>,
    /// Language, contact, account, context, flags; as rules see them.
    #[serde(default)]
    pub attributes: Attributes,
    /// How long an agent is busy with one; that of the whole traffic if it isn't given.
    #[serde(default)]
    pub handling: Option<Spread>,
}

/// When agents work.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shift {
    /// Who.
    pub agents: Vec<String>,
    /// From this long after the beginning.
    pub from: Duration,
    /// Until this long after it.
    pub to: Duration,
}

/// All of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Traffic {
    /// The same seed gives the same run.
    pub seed: u64,
    /// For so long customers come.
    pub length: Duration,
    /// Figures count from here on; the hall has to fill first.
    pub warm_up: Duration,
    /// When it begins, for hours and rules: milliseconds since the epoch.
    pub begins_at: i64,
    /// Who comes.
    pub streams: Vec<Stream>,
    /// How long an agent is busy with a customer.
    pub handling: Spread,
    /// And with finishing up.
    pub wrap_up: Spread,
    /// How long until an agent answers an offer.
    pub answer: Spread,
    /// How long a customer waits before giving up; nobody gives up if it isn't given.
    pub patience: Option<Spread>,
    /// So many of a hundred offers are refused.
    pub refused_percent: f64,
    /// So many of a hundred offers are let expire.
    pub missed_percent: f64,
    /// An agent's connection breaks so often in an hour, and comes back.
    pub breaks_per_hour: f64,
    /// How long such a break lasts.
    pub break_length: Spread,
    /// Agents without a shift work all the time.
    pub shifts: Vec<Shift>,
    /// A customer who is served within this counts for the service level.
    pub service_level: Duration,
    /// Arrivals that a journal recorded, in order; used instead of streams.
    #[serde(skip)]
    pub recorded: Vec<Recorded>,
}

impl Default for Traffic {
    fn default() -> Self {
        let seconds = |seconds| Duration(Span::seconds(seconds));
        Self {
            seed: 1,
            length: seconds(8 * 3600),
            warm_up: seconds(0),
            // A Monday, 08:00 UTC.
            begins_at: 1_795_420_800_000,
            streams: Vec::new(),
            handling: Spread::Exponential(seconds(300)),
            wrap_up: Spread::Fixed(seconds(0)),
            answer: Spread::Fixed(seconds(0)),
            patience: None,
            refused_percent: 0.0,
            missed_percent: 0.0,
            breaks_per_hour: 0.0,
            break_length: Spread::Exponential(seconds(60)),
            shifts: Vec::new(),
            service_level: seconds(20),
            recorded: Vec::new(),
        }
    }
}

impl Traffic {
    /// From a .ron file, a journal, or `RATE,HANDLING[,LENGTH]`.
    ///
    /// # Errors
    /// [`TrafficError`] says what would be right.
    pub fn read(from: &str) -> Result<Self, TrafficError> {
        let path = Path::new(from);
        let journal = path.join(crate::journal::FILE);
        if journal.is_file() {
            return Self::of_journal(path);
        }
        if path.is_file() {
            return Self::of_file(path);
        }
        Self::of_spec(from).ok_or_else(|| TrafficError::Unknown(from.to_owned()))
    }

    fn of_file(path: &Path) -> Result<Self, TrafficError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|cause| TrafficError::Unreadable {
            file: file.clone(),
            cause: cause.to_string(),
        })?;
        let extensions = ron::extensions::Extensions::IMPLICIT_SOME;
        let options = ron::Options::default().with_default_extension(extensions);
        options.from_str(&text).map_err(|error| TrafficError::Wrong {
            file,
            line: error.span.start.line,
            column: error.span.start.col,
            message: error.code.to_string(),
        })
    }

    fn of_journal(data: &Path) -> Result<Self, TrafficError> {
        let unreadable = |cause: JournalError| TrafficError::Unreadable {
            file: data.display().to_string(),
            cause: cause.to_string(),
        };
        let recorded = recorded::read(data).map_err(unreadable)?;
        let first = recorded.first().map_or(0, |arrival| arrival.at.0);
        let last = recorded.last().map_or(0, |arrival| arrival.at.0);
        let length = Duration(Span(last - first + 1));
        Ok(Self { begins_at: first, length, recorded, ..Self::default() })
    }

    /// `8/min,5m,8h`: customers per minute or hour, mean handling time, length.
    fn of_spec(spec: &str) -> Option<Self> {
        let mut parts = spec.split(',').map(str::trim);
        let (count, per) = parts.next()?.split_once('/')?;
        let count: f64 = count.trim().parse().ok()?;
        let per_minute = match per.trim() {
            "min" | "m" => count,
            "hour" | "h" => count / 60.0,
            "s" => count * 60.0,
            _ => return None,
        };
        // More than a million a minute is no contact centre's, and would never end.
        if !(0.0..=1e6).contains(&per_minute) {
            return None;
        }
        let handling = Spread::Exponential(Duration::parse(parts.next()?)?);
        let mut traffic = Self { handling, ..Self::default() };
        if let Some(length) = parts.next() {
            traffic.length = Duration::parse(length)?;
        }
        traffic.streams.push(Stream {
            channel: None,
            per_minute,
            by_hour: Vec::new(),
            text: String::new(),
            country: None,
            attributes: Attributes::default(),
            handling: None,
        });
        parts.next().is_none().then_some(traffic)
    }

    /// When it begins.
    pub fn begins(&self) -> Timestamp {
        Timestamp(self.begins_at)
    }

    /// The mean gap between two customers of a stream at that time, in milliseconds; `None`: nobody
    /// comes in this hour, look again at its end.
    pub fn gap(&self, stream: &Stream, at: Timestamp) -> Option<f64> {
        let per_minute = match stream.by_hour.len() {
            0 => stream.per_minute,
            hours => {
                let hour = usize::try_from((at.0 - self.begins_at) / 3_600_000).unwrap_or(0);
                stream.by_hour[hour % hours] / 60.0
            }
        };
        (per_minute > 0.0).then(|| 60_000.0 / per_minute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_and_a_handling_time_are_traffic() {
        let traffic = Traffic::of_spec("8/min, 5m, 2h").unwrap();
        assert_eq!(traffic.streams[0].per_minute, 8.0);
        assert_eq!(traffic.length.0, Span::seconds(7200));
        assert_eq!(Traffic::of_spec("120/h,30s").unwrap().streams[0].per_minute, 2.0);
        for wrong in [
            "8",
            "8/min",
            "8/week,5m",
            "x/min,5m",
            "8/min,5",
            "8/min,5m,8h,x",
            "NaN/min,5m",
            "-1/min,5m",
            "99999999/min,5m",
        ] {
            let error = Traffic::read(wrong).unwrap_err().to_string();
            assert!(error.contains("8/min,5m,8h"), "{error}");
        }
    }
}
