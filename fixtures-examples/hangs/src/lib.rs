//! One test waits for a message that never comes; its module allows every test one second.
//!
//! `cargo test` hangs with it. Under `cargo partest` that test has timed out after a second, its
//! worker ends, the four others pass, and the exit code is 100.

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    #[test]
    fn another_module_member_passes() {
        assert_eq!(channel::<u8>().1.try_recv().ok(), None);
    }

    #[test]
    fn hears_the_bell() {
        let (bell, ear) = channel();
        bell.send("ding").unwrap();
        assert_eq!(ear.recv(), Ok("ding"));
    }

    #[test]
    fn hears_two_bells() {
        let (bell, ear) = channel();
        bell.send(1).unwrap();
        bell.send(2).unwrap();
        drop(bell);
        assert_eq!(ear.iter().sum::<i32>(), 3);
    }

    #[test]
    fn waits_for_ever() {
        println!("waiting for the bell");
        // The sender lives as long as the wait, so the wait has no end.
        let (_bell, ear) = channel::<&str>();
        assert_eq!(ear.recv(), Ok("dong"));
    }
}

#[cfg(test)]
mod elsewhere {
    #[test]
    fn passes_meanwhile() {
        assert_eq!("bell".chars().rev().collect::<String>(), "lleb");
    }
}
