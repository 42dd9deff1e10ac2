//! Dates as HTTP headers and signatures write them.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

/// `Wed, 14 Dec 2016 18:20:12 GMT` (RFC 9110). Times that no calendar of that form knows become the epoch.
pub fn http_date(ms: i64) -> String {
    static PRINTER: DateTimePrinter = DateTimePrinter::new();
    let instant = Timestamp::from_millisecond(ms).unwrap_or_default();
    let written = PRINTER.timestamp_to_rfc9110_string(&instant);
    written.unwrap_or_else(|_| "Thu, 01 Jan 1970 00:00:00 GMT".to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates_are_in_gmt() {
        assert_eq!(super::http_date(1_481_739_612_000), "Wed, 14 Dec 2016 18:20:12 GMT");
        assert_eq!(super::http_date(-1000), "Wed, 31 Dec 1969 23:59:59 GMT");
        for beyond in [i64::MIN, i64::MAX, -62_167_219_200_001] {
            assert_eq!(super::http_date(beyond), "Thu, 01 Jan 1970 00:00:00 GMT");
        }
    }
}
