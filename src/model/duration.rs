//! Durations as people write them: `100ms`, `30s`, `2m`, `1h`, `1.5s`.

use std::time::Duration;

const EXPECTED: &str = "expected a number and a unit, such as 100ms, 30s, 2m or 1h";

const UNITS: [(&str, f64); 4] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// Reads a number with a unit (`ms`, `s`, `m`, `h`); a number without one is refused,
/// because its meaning would be unclear.
pub fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = UNITS.iter().find(|(name, _)| *name == unit.trim()).map(|(_, factor)| factor);
    match (number.trim().parse::<f64>(), factor) {
        (Ok(number), Some(factor)) => {
            Duration::try_from_secs_f64(number * factor).map_err(|_| EXPECTED.to_owned())
        }
        _ => Err(EXPECTED.to_owned()),
    }
}

/// A limit that something has to keep: none is kept by everything.
pub fn parse_limit(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => Err("expected a duration above 0".to_owned()),
        limit => Ok(limit),
    }
}

/// As it is written in Cargo.toml: `90s`, `250ms`.
pub fn written(duration: Duration) -> String {
    match duration.as_millis() {
        millis if millis % 1000 == 0 => format!("{}s", millis / 1000),
        millis => format!("{millis}ms"),
    }
}

/// Three significant digits, in seconds: `0.004`, `1.25`, `83.0`.
pub fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 1.0 => format!("{s:.3}"),
        s if s < 10.0 => format!("{s:.2}"),
        s => format!("{s:.1}"),
    }
}

/// For the eye: `0.12 s`, `1.25 s`, `83.0 s`, `2m 05s`.
pub fn brief(duration: Duration) -> String {
    match duration.as_secs_f64() {
        s if s < 9.995 => format!("{s:.2} s"),
        s if s < 99.95 => format!("{s:.1} s"),
        s => {
            let s = s.round() as u64;
            format!("{}m {:02}s", s / 60, s % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brief_duration_has_three_digits() {
        let table = [
            (0, "0.00 s"),
            (124, "0.12 s"),
            (9_994, "9.99 s"),
            (9_996, "10.0 s"),
            (83_040, "83.0 s"),
            (125_400, "2m 05s"),
            (3_600_000, "60m 00s"),
        ];
        for (milliseconds, text) in table {
            assert_eq!(brief(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn durations_need_a_unit() {
        let ms = Duration::from_millis;
        let table = [
            ("100ms", Ok(ms(100))),
            ("30s", Ok(ms(30_000))),
            ("1.5s", Ok(ms(1500))),
            (" 2 m ", Ok(ms(120_000))),
            ("1h", Ok(ms(3_600_000))),
            ("0s", Ok(ms(0))),
            ("30", Err(())),
            ("s", Err(())),
            ("-1s", Err(())),
            ("1d", Err(())),
            ("", Err(())),
            ("1e300h", Err(())),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).map_err(|_| ()), expected, "{text}");
        }
    }
}
