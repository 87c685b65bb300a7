//! Every ordinary way for a test to fail, next to tests that pass.
//!
//! Under `cargo partest` five tests fail and three pass. The report shows each failure with its own
//! output and nobody else's, and with the command that runs it again; the exit code is 100.

/// Reads a time of day such as `7:30` as minutes since midnight.
pub fn minutes(text: &str) -> Result<u32, String> {
    let (hours, minutes) = text
        .split_once(':')
        .ok_or_else(|| format!("no colon in {text:?}"))?;
    let hours: u32 = hours.parse().map_err(|_| format!("{hours:?} is no hour"))?;
    let minutes: u32 = minutes
        .parse()
        .map_err(|_| format!("{minutes:?} is no minute"))?;
    if hours > 23 || minutes > 59 {
        return Err(format!("there is no {hours}:{minutes:02}"));
    }
    Ok(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::minutes;

    #[test]
    fn an_assertion_fails_after_some_output() {
        println!("this line went to stdout before the failure");
        eprintln!("this line went to stderr before the failure");
        assert_eq!(minutes("7:30"), Ok(7 * 60 + 31), "the clock is slow");
    }

    #[test]
    fn midnight_is_zero() {
        println!("a passing test's output is not shown");
        assert_eq!(minutes("0:00"), Ok(0));
    }

    #[test]
    fn noon_is_read() -> Result<(), String> {
        assert_eq!(minutes("12:00")?, 720);
        Ok(())
    }

    #[test]
    fn returns_an_error() -> Result<(), String> {
        minutes("24:00")?;
        Ok(())
    }

    #[test]
    #[should_panic]
    fn should_panic_and_does() {
        minutes("quarter past").unwrap();
    }

    #[test]
    #[should_panic]
    fn should_panic_but_does_not() {
        minutes("9:15").unwrap();
    }

    #[test]
    #[should_panic(expected = "is no hour")]
    fn should_panic_with_another_message() {
        minutes("9:75").unwrap();
    }

    #[test]
    fn the_message_has_several_lines() {
        panic!(
            "the timetable is wrong:\n  expected 9:15\n  found    9:16\n\ntest tests::midnight_is_zero ... ok"
        );
    }
}
