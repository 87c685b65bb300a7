//! A plain library in which everything passes: three modules of tests, one of them nested, and an
//! integration test.
//!
//! Under `cargo partest` all seven tests pass, in whatever processes.

pub mod temperature {
    pub fn to_fahrenheit(celsius: f64) -> f64 {
        celsius * 9.0 / 5.0 + 32.0
    }

    #[cfg(test)]
    mod tests {
        use super::to_fahrenheit;

        #[test]
        fn water_freezes() {
            assert_eq!(to_fahrenheit(0.0), 32.0);
        }

        #[test]
        fn the_scales_meet_at_forty_below() {
            assert_eq!(to_fahrenheit(-40.0), -40.0);
        }
    }
}

pub mod distance {
    pub fn metres(kilometres: u64) -> u64 {
        kilometres * 1000
    }

    #[cfg(test)]
    mod tests {
        use super::metres;

        #[test]
        fn a_kilometre_is_a_thousand_metres() {
            assert_eq!(metres(1), 1000);
        }
    }

    pub mod nautical {
        pub fn metres(miles: u64) -> u64 {
            miles * 1852
        }

        #[cfg(test)]
        mod tests {
            use super::metres;

            #[test]
            fn a_nautical_mile_is_longer() {
                assert!(metres(1) > 1609);
            }

            #[test]
            fn sixty_are_a_degree() {
                assert_eq!(metres(60), 111_120);
            }
        }
    }
}
