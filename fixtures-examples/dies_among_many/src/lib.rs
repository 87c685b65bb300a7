//! One unit with two threads, in which test after test takes the process with it, beside others
//! that pass, fail and are ignored.
//!
//! Under `cargo partest` the eighteen that end their process have aborted, and nobody else: ten
//! have failed, ten are ignored, twenty pass. The exit code is 100.

/// Five tests and the ways in which some more end their process.
#[cfg(test)]
macro_rules! module {
    ($name:ident: $($test:ident = $end:expr;)*) => {
        mod $name {
            #[test]
            fn a_passes() {
                super::starts(stringify!($name::a_passes));
            }

            #[test]
            #[ignore]
            fn b_is_ignored() {}

            $(
                #[test]
                fn $test() {
                    super::starts(stringify!($name::$test));
                    $end
                }
            )*

            #[test]
            fn y_fails() {
                super::starts(stringify!($name::y_fails));
                panic!("y fails");
            }

            #[test]
            fn z_passes() {
                super::starts(stringify!($name::z_passes));
            }
        }
    };
}

/// Leaves a line about each start, where somebody wants to count them.
#[cfg(test)]
fn starts(test: &str) {
    let Some(directory) = std::env::var_os("FIXTURE_LOG") else { return };
    let path = std::path::Path::new(&directory).join("starts");
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    // One call for a line, so that lines of several processes do not mix.
    std::io::Write::write_all(&mut file.unwrap(), format!("{test}\n").as_bytes()).unwrap();
}

#[cfg(test)]
mod ends {
    use std::process;

    unsafe extern "C" {
        fn getpid() -> i32;
        fn kill(process: i32, signal: i32) -> i32;
    }

    pub fn by_sigkill() {
        // SAFETY: plain calls of libc.
        unsafe { kill(getpid(), 9) };
    }

    pub fn by_null() {
        // SAFETY: it is not: this is the bug whose report is tested.
        unsafe { std::ptr::null_mut::<u32>().write_volatile(1) };
    }

    #[allow(unconditional_recursion)]
    pub fn by_overflow(depth: u64) -> u64 {
        let room = std::hint::black_box([depth; 64]);
        by_overflow(depth + 1) + room[0]
    }

    pub fn in_a_thread(code: i32) {
        let _ = std::thread::spawn(move || process::exit(code)).join();
    }
}

#[cfg(test)]
mod tests {
    use std::process::{abort, exit};

    use super::{ends, starts};

    module! { m0: c_exits_0 = super::exit(0); d_exits_0_in_a_thread = super::ends::in_a_thread(0); }
    module! { m1: c_exits_3 = super::exit(3); d_exits_3_in_a_thread = super::ends::in_a_thread(3); }
    module! { m2: c_exits_101 = super::exit(101); d_aborts = super::abort(); }
    module! { m3: c_aborts = super::abort(); d_exits_0 = super::exit(0); }
    module! { m4: c_is_killed = super::ends::by_sigkill(); d_exits_101 = super::exit(101); }
    module! { m5: c_writes_to_null = super::ends::by_null(); d_exits_3 = super::exit(3); }
    module! { m6: c_overflows = { super::ends::by_overflow(0); }; d_aborts = super::abort(); }
    module! { m7: c_exits_7_in_a_thread = super::ends::in_a_thread(7); d_is_killed = super::ends::by_sigkill(); }
    module! { m8: c_writes_to_null = super::ends::by_null(); }
    module! { m9: c_exits_0 = super::exit(0); }
}
