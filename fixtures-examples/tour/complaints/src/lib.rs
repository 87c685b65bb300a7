//! What may go wrong, and how it is told. Without the feature `broken` everything here passes.
//!
//! Under `cargo partest -p complaints --features broken` five of the ten tests do not: an assertion,
//! an error that is returned, a panic that is missing, an exit with code 0 and a wait for ever. The
//! other five pass all the same, one of them leaves a thread behind, and the exit code is 100.

/// The customer's words, without those that one does not repeat.
pub fn polite(letter: &str) -> String {
    letter.replace("darned", "------")
}

#[cfg(test)]
mod letters {
    use super::polite;

    #[test]
    fn are_answered_politely() {
        assert_eq!(polite("this darned book"), "this ------ book");
    }

    #[cfg(feature = "broken")]
    #[test]
    fn are_copied_word_by_word() {
        println!("comparing the letter with its copy");
        assert_eq!(polite("my darned cat"), "my darned cat", "the copy differs");
    }

    #[cfg(feature = "broken")]
    #[test]
    fn are_numbered() -> Result<(), std::num::ParseIntError> {
        let _number: u32 = polite("no. 12").parse()?;
        Ok(())
    }

    #[cfg(feature = "broken")]
    #[test]
    #[should_panic]
    fn are_refused_when_empty() {
        assert_eq!(polite(""), "");
    }

    #[test]
    #[should_panic(expected = "the letter has no second page")]
    fn have_one_page() {
        polite("dear sirs")
            .split('\u{c}')
            .nth(1)
            .expect("the letter has no second page");
    }
}

#[cfg(test)]
mod desk {
    #[cfg(feature = "broken")]
    #[test]
    fn closes_early() {
        // As a call into a program's `main` may: the process is gone, and says that all is well.
        std::process::exit(0);
    }

    #[test]
    fn is_open() {
        assert!((9..17).contains(&12));
    }
}

#[cfg(test)]
mod telephone {
    use std::sync::mpsc::channel;

    #[test]
    fn is_answered() {
        let (caller, desk) = channel();
        caller.send("hello?").unwrap();
        assert_eq!(desk.recv(), Ok("hello?"));
    }

    #[cfg(feature = "broken")]
    #[test]
    fn rings_for_ever() {
        // The caller stays on the line, and says nothing.
        let (_caller, desk) = channel::<&str>();
        assert_eq!(desk.recv(), Ok("hello?"));
    }
}

#[cfg(all(test, feature = "broken"))]
mod leak {
    use std::thread::{Builder, park};

    #[test]
    fn the_clerk_goes_on_writing() {
        // Nobody tells the thread to end, or waits for it.
        let clerk = Builder::new().name("clerk".to_owned()).spawn(|| {
            loop {
                park();
            }
        });
        assert!(clerk.is_ok());
    }
}
