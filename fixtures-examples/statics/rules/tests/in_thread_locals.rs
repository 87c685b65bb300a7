//! A thread-local is no fixture: every test has a thread of its own. All four tests may split.

mod plain {
    use std::cell::Cell;

    thread_local! {
        static STEPS: Cell<u32> = const { Cell::new(0) };
    }

    fn step() -> u32 {
        rules::log(module_path!());
        STEPS.set(STEPS.get() + 1);
        STEPS.get()
    }

    #[test]
    fn a_step_is_the_first() {
        assert_eq!(step(), 1);
    }

    #[test]
    fn two_steps_are_two() {
        step();
        assert_eq!(step(), 2);
    }
}

mod with_a_destructor {
    use std::cell::RefCell;

    thread_local! {
        static DIARY: RefCell<Vec<String>> = RefCell::new(vec!["Dear diary".to_owned()]);
    }

    fn write(line: &str) -> usize {
        rules::log(module_path!());
        DIARY.with_borrow_mut(|diary| {
            diary.push(line.to_owned());
            diary.len()
        })
    }

    #[test]
    fn a_day_adds_a_line() {
        assert_eq!(write("it rained"), 2);
    }

    #[test]
    fn two_days_add_two() {
        write("it rained");
        assert_eq!(write("it did not"), 3);
    }
}
