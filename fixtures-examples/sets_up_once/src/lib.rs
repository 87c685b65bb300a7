//! A module whose tests share one expensive fixture in a `OnceLock`, and need it to be set up once.
//!
//! Under `cargo partest` the policy `unit` keeps the module in one process: all six tests pass, one
//! set-up is counted, and all report the same process id. A process per test would set it up six
//! times.

pub mod warehouse {
    use std::collections::BTreeMap;

    pub struct Warehouse(BTreeMap<u32, String>);

    impl Warehouse {
        pub fn filled_with(articles: u32) -> Warehouse {
            Warehouse(
                (0..articles)
                    .map(|number| (number, format!("article {number}")))
                    .collect(),
            )
        }

        pub fn find(&self, number: u32) -> Option<&str> {
            self.0.get(&number).map(String::as_str)
        }

        pub fn len(&self) -> usize {
            self.0.len()
        }

        pub fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
    }

    #[cfg(test)]
    mod tests {
        use super::Warehouse;
        use std::fs::File;
        use std::io::Write;
        use std::path::Path;
        use std::process;
        use std::sync::OnceLock;
        use std::sync::atomic::{AtomicUsize, Ordering};

        static SET_UPS: AtomicUsize = AtomicUsize::new(0);

        fn warehouse() -> &'static Warehouse {
            static WAREHOUSE: OnceLock<Warehouse> = OnceLock::new();
            let warehouse = WAREHOUSE.get_or_init(|| {
                SET_UPS.fetch_add(1, Ordering::SeqCst);
                log("set-ups", &process::id().to_string());
                Warehouse::filled_with(100_000)
            });
            assert_eq!(SET_UPS.load(Ordering::SeqCst), 1);
            log("pids", &process::id().to_string());
            warehouse
        }

        /// Tells whoever set `FIXTURE_LOG` to a directory what happened, in the file `name` there.
        fn log(name: &str, line: &str) {
            if let Some(directory) = std::env::var_os("FIXTURE_LOG") {
                let path = Path::new(&directory).join(name);
                let mut file = File::options()
                    .create(true)
                    .append(true)
                    .open(path)
                    .unwrap();
                file.write_all(format!("{line}\n").as_bytes()).unwrap();
            }
        }

        #[test]
        fn finds_the_first() {
            assert_eq!(warehouse().find(0), Some("article 0"));
        }

        #[test]
        fn finds_the_last() {
            assert_eq!(warehouse().find(99_999), Some("article 99999"));
        }

        #[test]
        fn finds_one_between() {
            assert_eq!(warehouse().find(4711), Some("article 4711"));
        }

        #[test]
        fn holds_all() {
            assert_eq!(warehouse().len(), 100_000);
        }

        #[test]
        fn is_not_empty() {
            assert!(!warehouse().is_empty());
        }

        #[test]
        fn knows_its_end() {
            assert_eq!(warehouse().find(100_000), None);
        }
    }
}
