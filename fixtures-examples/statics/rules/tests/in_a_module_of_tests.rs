//! A static in a module of tests binds that module: `tickets` is a unit, `seats` may split.

mod tickets {
    use std::sync::Mutex;

    static SOLD: Mutex<Vec<u32>> = Mutex::new(Vec::new());

    fn sell(seat: u32) -> bool {
        rules::log(module_path!());
        let mut sold = SOLD.lock().unwrap();
        let free = !sold.contains(&seat);
        sold.push(seat);
        free
    }

    #[test]
    fn a_free_seat_is_sold() {
        assert!(sell(1));
    }

    #[test]
    fn a_taken_seat_is_not() {
        assert!(sell(2));
        assert!(!sell(2));
    }
}

mod seats {
    fn row(seat: u32) -> u32 {
        rules::log(module_path!());
        seat / 20
    }

    #[test]
    fn the_first_is_in_front() {
        assert_eq!(row(1), 0);
    }

    #[test]
    fn the_last_is_behind() {
        assert_eq!(row(199), 9);
    }
}
