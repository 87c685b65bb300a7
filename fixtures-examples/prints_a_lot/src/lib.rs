//! A test that prints 64 MiB, line by line, and passes.
//!
//! Under `cargo partest` both tests pass and nothing of that output is shown or kept. With
//! `--features broken` a third prints as much and fails: its report is cut, says how much is
//! missing, and keeps the end, where the reason stands.

#[cfg(test)]
mod tests {
    /// 65,536 lines of 1,024 bytes each, with their line's end.
    fn recite() -> usize {
        let verse = "la ".repeat(338);
        let mut bytes = 0;
        for line in 0..65_536 {
            let line = format!("{line:08} {verse}");
            println!("{line}");
            bytes += line.len() + 1;
        }
        bytes
    }

    #[test]
    fn recites_the_saga() {
        assert_eq!(recite(), 64 * 1024 * 1024);
    }

    #[cfg(feature = "broken")]
    #[test]
    fn recites_the_saga_and_stumbles() {
        assert_eq!(recite(), 0, "the reason at the very end");
    }

    #[test]
    fn whispers() {
        println!("hush");
        assert_eq!("hush".len(), 4);
    }
}
