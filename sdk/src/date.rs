//! Dates as HTTP headers and signatures write them.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

/// `Wed, 14 Dec 2016 18:20:12 GMT` (RFC 9110). Times that no calendar knows become the epoch.
pub fn http_date(ms: i64) -> String {
    static PRINTER: DateTimePrinter = DateTimePrinter::new();
    let instant = Timestamp::from_millisecond(ms).unwrap_or_default();
    PRINTER.timestamp_to_rfc9110_string(&instant).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates_are_in_gmt() {
        assert_eq!(super::http_date(1_481_739_612_000), "Wed, 14 Dec 2016 18:20:12 GMT");
    }
}
