//! Amounts of memory as people write them: `512MiB`, `2GiB`, `100MB`.

const UNITS: [(&str, u64); 6] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// Reads a whole number with a unit, into bytes; a number without a unit is refused,
/// because its meaning would be unclear.
pub fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = UNITS.iter().find(|(name, _)| *name == unit.trim()).map(|(_, factor)| *factor);
    let bytes = number.parse::<u64>().ok().zip(factor).and_then(|(n, f)| n.checked_mul(f));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| {
        "expected a whole number and a unit, such as 512MiB, 2GiB or 100MB".to_owned()
    })
}

/// In the largest unit that fits: `64.0 MiB`.
pub fn shown(bytes: u64) -> String {
    let unit = UNITS[..3].iter().rev().find(|(_, factor)| bytes >= *factor);
    match unit {
        Some((name, factor)) => format!("{:.1} {name}", bytes as f64 / *factor as f64),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_in_their_largest_unit() {
        let table =
            [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (64 << 20, "64.0 MiB")];
        for (bytes, text) in table {
            assert_eq!(shown(bytes), text);
        }
        assert_eq!(shown(3 << 39), "1536.0 GiB");
    }

    #[test]
    fn amounts_are_read_and_nonsense_is_not() {
        assert_eq!(parse("512MiB"), Ok(512 << 20));
        assert_eq!(parse(" 2 GB "), Ok(2_000_000_000));
        for text in ["", "0MiB", "512", "5 mib", "-1MiB", "1.5GiB", "99999999999999GiB", "MiB"] {
            assert!(parse(text).unwrap_err().contains("512MiB, 2GiB"), "{text}");
        }
    }
}
