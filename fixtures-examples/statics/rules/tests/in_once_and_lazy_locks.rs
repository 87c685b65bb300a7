//! A static that is written once is a fixture too: `maps` and `prices` are a unit each, `weights`
//! may split.

mod maps {
    use std::sync::OnceLock;

    fn map() -> &'static [&'static str] {
        static MAP: OnceLock<Vec<&'static str>> = OnceLock::new();
        rules::log(module_path!());
        MAP.get_or_init(|| "field wood lake".split(' ').collect())
    }

    #[test]
    fn begin_with_a_field() {
        assert_eq!(map()[0], "field");
    }

    #[test]
    fn show_three_places() {
        assert_eq!(map().len(), 3);
    }
}

mod prices {
    use std::sync::LazyLock;

    static PRICES: LazyLock<Vec<u32>> = LazyLock::new(|| (0..100).map(rules::price).collect());

    #[test]
    fn are_known_for_all_ages() {
        rules::log(module_path!());
        assert_eq!(PRICES.len(), 100);
    }

    #[test]
    fn never_sink_with_age() {
        rules::log(module_path!());
        assert!(PRICES.is_sorted());
    }
}

mod weights {
    #[test]
    fn a_pair_weighs_twice_as_much() {
        rules::log(module_path!());
        assert_eq!([3, 3].iter().sum::<u32>(), 6);
    }

    #[test]
    fn nothing_weighs_nothing() {
        rules::log(module_path!());
        assert_eq!([0; 0].iter().sum::<u32>(), 0);
    }
}
