//! What the shop sells. Two modules say nothing about how they want to be run (`auto`), one asks for
//! two threads.
//!
//! Under `cargo partest` all of it passes, and one test is ignored. `cargo partest plan` says that
//! `isbn` may split, since it has no statics, and that `history` is a unit because of `SEEN`.

pub mod isbn {
    /// Whether the last of the ten digits is the one that the others ask for.
    pub fn is_valid(isbn: &str) -> bool {
        let digits: Vec<u32> = isbn
            .chars()
            .filter_map(|digit| {
                if digit == 'X' {
                    Some(10)
                } else {
                    digit.to_digit(10)
                }
            })
            .collect();
        let sum: u32 = digits
            .iter()
            .rev()
            .zip(1..)
            .map(|(digit, weight)| digit * weight)
            .sum();
        digits.len() == 10 && sum.is_multiple_of(11)
    }

    #[cfg(test)]
    mod auto {
        use super::is_valid;

        #[test]
        fn a_digit_too_few_is_noticed() {
            assert!(!is_valid("0-306-40615"));
        }

        #[test]
        fn a_good_number_is_valid() {
            assert!(is_valid("0-306-40615-2"));
        }

        #[test]
        fn a_typing_error_is_noticed() {
            assert!(!is_valid("0-306-40651-2"));
        }

        #[test]
        #[ignore = "tries a million numbers, which takes a while"]
        fn about_one_number_in_eleven_is_valid() {
            let valid = (0..1_000_000)
                .filter(|number| is_valid(&format!("{number:010}")))
                .count();
            assert!((80_000..100_000).contains(&valid), "{valid} are");
        }

        #[test]
        fn ten_is_written_x() {
            assert!(is_valid("0-8044-2957-X"));
        }
    }
}

pub mod history {
    use std::sync::Mutex;

    static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

    /// Remembers a title, and says how many were looked at so far.
    pub fn look_at(title: &str) -> usize {
        let mut seen = SEEN.lock().unwrap();
        seen.push(title.to_owned());
        seen.len()
    }

    #[cfg(test)]
    mod auto {
        use super::look_at;

        #[test]
        fn every_look_counts() {
            let before = look_at("Emma");
            assert!(look_at("Emma") > before);
        }

        #[test]
        fn somebody_looks_first() {
            assert!(look_at("Persuasion") >= 1);
        }
    }
}

pub mod search {
    /// How many of the catalogue's titles hold this word.
    pub fn hits(titles: &[String], word: &str) -> usize {
        titles.iter().filter(|title| title.contains(word)).count()
    }

    /// Four tests that read one large index, and are quicker in two threads side by side.
    #[cfg(test)]
    mod unit {
        use super::hits;
        use std::sync::LazyLock;

        static TITLES: LazyLock<Vec<String>> = LazyLock::new(|| {
            (0..50_000)
                .map(|number| format!("Volume {number}"))
                .collect()
        });

        #[test]
        fn all_are_volumes() {
            assert_eq!(hits(&TITLES, "Volume"), 50_000);
        }

        #[test]
        fn none_is_a_poem() {
            assert_eq!(hits(&TITLES, "Poem"), 0);
        }

        #[test]
        fn one_has_a_large_number() {
            assert_eq!(hits(&TITLES, "Volume 49999"), 1);
        }

        #[test]
        fn some_look_alike() {
            assert_eq!(hits(&TITLES, "4711"), 15);
        }
    }
}
