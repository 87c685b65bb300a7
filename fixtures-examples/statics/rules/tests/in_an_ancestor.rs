//! A static in a module above binds everything below that module: `theatre` is one unit with `opera`
//! and `ballet`, `cinema` may split.

mod theatre {
    use std::sync::Mutex;

    static STAGE: Mutex<u32> = Mutex::new(0);

    fn perform(dancers: u32) -> u32 {
        rules::log(module_path!());
        let mut on_stage = STAGE.lock().unwrap();
        *on_stage += dancers;
        let most = *on_stage;
        *on_stage -= dancers;
        most
    }

    mod opera {
        #[test]
        fn a_duet_is_sung_by_two() {
            assert_eq!(super::perform(2), 2);
        }
    }

    mod ballet {
        #[test]
        fn a_swan_is_alone() {
            assert_eq!(super::perform(1), 1);
        }

        #[test]
        fn swans_are_many() {
            assert_eq!(super::perform(24), 24);
        }
    }
}

mod cinema {
    #[test]
    fn films_are_cheap() {
        rules::log(module_path!());
        assert!(rules::price(40) < 10);
    }

    #[test]
    fn films_are_cheaper_for_children() {
        rules::log(module_path!());
        assert!(rules::price(10) < 9);
    }
}
