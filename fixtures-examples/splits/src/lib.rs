//! Twelve tests that any process may run, with a fixture that is set up in every process that gets
//! one of them.
//!
//! Under `cargo partest` the policy `split` hands the tests out in batches: all pass, from `-j 2` on
//! in two processes at least, and each of these sets the fixture up once.

/// How often a word occurs in a text.
pub fn count(text: &str, word: &str) -> usize {
    text.split_whitespace()
        .filter(|found| *found == word)
        .count()
}

#[cfg(test)]
mod tests {
    use super::count;
    use std::fs::File;
    use std::io::Write;
    use std::path::Path;
    use std::process;
    use std::sync::OnceLock;

    /// Re-entrant: any number of processes may hold such a text side by side.
    fn text() -> &'static str {
        static TEXT: OnceLock<String> = OnceLock::new();
        let text = TEXT.get_or_init(|| {
            log("set-ups", &process::id().to_string());
            (0..12)
                .map(|word| format!("word{word} ").repeat(word))
                .collect()
        });
        log("pids", &process::id().to_string());
        text
    }

    /// Tells whoever set `FIXTURE_LOG` to a directory what happened, in the file `name` there.
    fn log(name: &str, line: &str) {
        if let Some(directory) = std::env::var_os("FIXTURE_LOG") {
            let path = Path::new(&directory).join(name);
            let mut file = File::options()
                .create(true)
                .append(true)
                .open(path)
                .unwrap();
            file.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
    }

    #[test]
    fn never_occurs() {
        assert_eq!(count(text(), "word0"), 0);
    }

    #[test]
    fn occurs_once() {
        assert_eq!(count(text(), "word1"), 1);
    }

    #[test]
    fn occurs_twice() {
        assert_eq!(count(text(), "word2"), 2);
    }

    #[test]
    fn occurs_three_times() {
        assert_eq!(count(text(), "word3"), 3);
    }

    #[test]
    fn occurs_four_times() {
        assert_eq!(count(text(), "word4"), 4);
    }

    #[test]
    fn occurs_five_times() {
        assert_eq!(count(text(), "word5"), 5);
    }

    #[test]
    fn occurs_six_times() {
        assert_eq!(count(text(), "word6"), 6);
    }

    #[test]
    fn occurs_seven_times() {
        assert_eq!(count(text(), "word7"), 7);
    }

    #[test]
    fn occurs_eight_times() {
        assert_eq!(count(text(), "word8"), 8);
    }

    #[test]
    fn occurs_nine_times() {
        assert_eq!(count(text(), "word9"), 9);
    }

    #[test]
    fn occurs_ten_times() {
        assert_eq!(count(text(), "word10"), 10);
    }

    #[test]
    fn occurs_eleven_times() {
        assert_eq!(count(text(), "word11"), 11);
    }
}
