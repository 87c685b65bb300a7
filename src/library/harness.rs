//! How tests are run in this process, as far as command line and environment tell: how many at
//! the same time, and under which name.

use std::env;
use std::thread;

/// Whether each test has a process of its own, as under nextest.
pub fn has_a_process_per_test() -> bool {
    env::var("NEXTEST_EXECUTION_MODE").is_ok_and(|mode| mode == "process-per-test")
}

/// How many tests libtest runs at the same time, by its own rules.
pub fn test_threads() -> usize {
    let args: Vec<String> = env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let variable = || env::var("RUST_TEST_THREADS").ok()?.parse().ok();
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    test_threads_flag(&args).or_else(variable).unwrap_or_else(cores)
}

fn test_threads_flag(args: &[String]) -> Option<usize> {
    const FLAG: &str = "--test-threads";
    let value = args.iter().zip(1..).find_map(|(arg, next)| match arg.strip_prefix(FLAG)? {
        "" => args.get(next).map(String::as_str),
        rest => rest.strip_prefix('='),
    });
    value?.parse().ok()
}

/// The test's name as `cargo partest` reports it, which begins with the binary's.
pub fn full_test_name(test: &str) -> String {
    let file = env::current_exe().ok();
    let stem = file.as_deref().and_then(|file| file.file_stem()).and_then(|stem| stem.to_str());
    match stem.map(binary_name) {
        Some(binary) if !binary.is_empty() => format!("{binary}::{test}"),
        _ => test.to_owned(),
    }
}

/// Cargo appends a hash to the name of a test binary.
fn binary_name(stem: &str) -> &str {
    const DIGITS: usize = 16;
    match stem.rsplit_once('-') {
        Some((name, digits))
            if digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit()) =>
        {
            name
        }
        _ => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_test_threads_is_read_as_libtest_does() {
        let flag = |line: &str| {
            test_threads_flag(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(flag("t --exact a --test-threads 3 b"), Some(3));
        assert_eq!(flag("t --test-threads=1"), Some(1));
        assert_eq!((flag("t --test-threads"), flag("t 1")), (None, None));
    }

    #[test]
    fn the_binary_is_named_without_its_hash() {
        assert_eq!(binary_name("my_api-0123456789abcdef"), "my_api");
        assert_eq!(binary_name("my-tool"), "my-tool");
    }
}
