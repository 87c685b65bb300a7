//! Durations as nextest's configuration has them (humantime): `30s`, `1m 30s`, `1m30s`, `2 minutes`.

use std::time::Duration;

/// Names of units, with their seconds. Months and years are the averages that humantime takes.
const UNITS: [(&[&str], f64); 10] = [
    (&["nanos", "nsec", "ns"], 1e-9),
    (&["usec", "us", "µs"], 1e-6),
    (&["millis", "msec", "ms"], 1e-3),
    (&["seconds", "second", "secs", "sec", "s"], 1.0),
    (&["minutes", "minute", "mins", "min", "m"], 60.0),
    (&["hours", "hour", "hrs", "hr", "h"], 3_600.0),
    (&["days", "day", "d"], 86_400.0),
    (&["weeks", "week", "wks", "wk", "w"], 604_800.0),
    (&["months", "month", "M"], 2_630_016.0),
    (&["years", "year", "yrs", "yr", "y"], 31_557_600.0),
];

/// The sum of all parts, each a number and a unit; spaces may stand between any of them.
pub fn parse(text: &str) -> Option<Duration> {
    let (mut sum, mut rest) = (Duration::ZERO, text.trim());
    loop {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let after = after.trim_start();
        let end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, seconds) = UNITS.iter().find(|(names, _)| names.contains(&unit))?;
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        sum = sum.checked_add(part)?;
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_added_up_with_or_without_spaces() {
        let table = [
            ("30s", Some(30_000)),
            ("1m 30s", Some(90_000)),
            ("1m30s", Some(90_000)),
            (" 1 min  30 secs ", Some(90_000)),
            ("2hours 1ms", Some(7_200_001)),
            ("1.5s 7ms", Some(1_507)),
            ("1d", Some(86_400_000)),
            ("0s", Some(0)),
            ("", None),
            ("30", None),
            ("s", None),
            ("1m30", None),
            ("1 eon", None),
            ("-1s", None),
            ("1m, 30s", None),
            ("99999999999999y", None),
        ];
        for (text, milliseconds) in table {
            assert_eq!(parse(text), milliseconds.map(Duration::from_millis), "{text}");
        }
    }
}
