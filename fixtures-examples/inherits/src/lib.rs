//! A policy covers everything below its module, until a longer key says otherwise.
//!
//! Under `cargo partest` all nine tests pass. The five of `orders`, `orders::billing` and
//! `orders::shipping::abroad` run in one process (`unit`, inherited), the two of `orders::archive`
//! in one each (their own key), and so do the two of `drafts::notes`, which has no key but a parent
//! with one.

#[cfg(test)]
use std::{env, fs::File, io::Write, path::Path, process};

/// Notes which process ran a module's test, in `FIXTURE_LOG`, where somebody named one.
#[cfg(test)]
fn log(module: &str) {
    if let Some(directory) = env::var_os("FIXTURE_LOG") {
        let path = Path::new(&directory).join(module.replace("::", "."));
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(format!("{}\n", process::id()).as_bytes())
            .unwrap();
    }
}

pub mod orders {
    pub fn total(prices: &[u32]) -> u32 {
        prices.iter().sum()
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn an_empty_order_is_free() {
            crate::log(module_path!());
            assert_eq!(super::total(&[]), 0);
        }

        #[test]
        fn prices_add_up() {
            crate::log(module_path!());
            assert_eq!(super::total(&[2, 3]), 5);
        }
    }

    pub mod billing {
        pub fn with_tax(price: u32) -> u32 {
            price + price / 5
        }

        #[cfg(test)]
        mod tests {
            #[test]
            fn a_fifth_is_added() {
                crate::log(module_path!());
                assert_eq!(super::with_tax(100), 120);
            }
        }
    }

    pub mod shipping {
        pub mod abroad {
            pub fn days(kilometres: u32) -> u32 {
                1 + kilometres / 500
            }

            #[cfg(test)]
            mod tests {
                #[test]
                fn far_takes_longer() {
                    crate::log(module_path!());
                    assert!(super::days(2000) > super::days(100));
                }

                #[test]
                fn near_takes_a_day() {
                    crate::log(module_path!());
                    assert_eq!(super::days(100), 1);
                }
            }
        }
    }

    pub mod archive {
        pub fn year(order: &str) -> Option<&str> {
            order.split('-').next_back()
        }

        #[cfg(test)]
        mod tests {
            #[test]
            fn the_year_comes_last() {
                crate::log(module_path!());
                assert_eq!(super::year("17-2024"), Some("2024"));
            }

            #[test]
            fn the_year_may_stand_alone() {
                crate::log(module_path!());
                assert_eq!(super::year("2023"), Some("2023"));
            }
        }
    }
}

pub mod drafts {
    pub mod notes {
        pub fn first_line(note: &str) -> &str {
            note.lines().next().unwrap_or("")
        }

        #[cfg(test)]
        mod tests {
            #[test]
            fn an_empty_note_has_none() {
                crate::log(module_path!());
                assert_eq!(super::first_line(""), "");
            }

            #[test]
            fn only_the_first_counts() {
                crate::log(module_path!());
                assert_eq!(super::first_line("milk\nbread"), "milk");
            }
        }
    }
}
