//! The agent in a test's process keeps out of the way of what tests do there, and hears all the
//! same what they leave behind.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use crate::fixture::{Package, Ran};

const CALLS: &str = r#"
    unsafe extern "C" {
        fn vfork() -> i32;
        fn _exit(code: i32) -> !;
        fn waitpid(process: i32, status: *mut i32, options: i32) -> i32;
        fn dup2(from: i32, to: i32) -> i32;
        fn close(descriptor: i32) -> i32;
        fn signal(signal: i32, handler: usize) -> usize;
        fn write(descriptor: i32, bytes: *const u8, length: usize) -> isize;
    }
    /// The pipes that stand high up, where only the agent puts any.
    fn high_pipes() -> Vec<i32> {
        let all = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap());
        let pipes = all.filter(|entry| {
            let target = std::fs::read_link(entry.path()).unwrap_or_default();
            target.to_string_lossy().starts_with("pipe:")
        });
        let numbers = pipes.map(|entry| entry.file_name().to_string_lossy().parse().unwrap());
        numbers.filter(|number| *number > 100).collect()
    }
"#;

fn ran(tests: &str, way: &str) -> Ran {
    let package = Package::shop("", &format!("#![cfg(test)]\n#![allow(dead_code)]{CALLS}{tests}"));
    package.partest().args(way).json().run()
}

#[test]
fn what_the_child_of_a_vfork_does_is_not_its_parents() {
    let ran = ran(
        r#"
        #[test]
        fn a_leaves_a_thread() {
            let channel = high_pipes();
            assert!(!channel.is_empty());
            // SAFETY: the child makes system calls only.
            unsafe {
                let child = vfork();
                if child == 0 {
                    for number in &channel {
                        dup2(0, *number);
                    }
                    dup2(0, 1);
                    dup2(0, 2);
                    for crash in [4, 6, 7, 8, 11] {
                        signal(crash, 1);
                    }
                    _exit(7);
                }
                let mut status = 0;
                assert_eq!(waitpid(child, &mut status, 0), child);
                assert_eq!(status, 7 << 8);
            }
            std::thread::Builder::new().name("clerk".into()).spawn(std::thread::park).unwrap();
        }
        #[test]
        fn b_fails() {
            // SAFETY: bytes of that length.
            unsafe { write(1, b"still heard\n".as_ptr(), 12) };
            panic!("to have its output told");
        }
        "#,
        "-j1",
    );
    assert_eq!(ran.test("shop::a_leaves_a_thread")["leaks"][0]["what"], "clerk", "{ran}");
    let test = ran.test("shop::b_fails");
    assert!(test["output"].as_str().unwrap().contains("still heard"), "{ran}");
}

/// The channel moves away from under frames that others are writing, and goes on.
#[test]
fn what_takes_the_channels_number_gets_no_frame() {
    let ran = ran(
        r#"
        use std::os::fd::AsRawFd;
        use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
        static IS_OVER: AtomicBool = AtomicBool::new(false);
        #[test]
        fn takes_the_number() {
            let path = std::env::temp_dir().join(format!("taken-{}", std::process::id()));
            let file = std::fs::File::create(&path).unwrap();
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| while !IS_OVER.load(Relaxed) {
                        // SAFETY: bytes of that length.
                        unsafe { write(1, b"a line\n".as_ptr(), 7) };
                    });
                }
                for _ in 0..5 {
                    for first in high_pipes() {
                        // It moves to the next number, and is there the next one to go.
                        let numbers = first..first + 100;
                        // SAFETY: whose number it is, is the point.
                        numbers.clone().for_each(|number| unsafe { let _ = dup2(file.as_raw_fd(), number); });
                        // SAFETY: they are names of the file now.
                        numbers.for_each(|number| unsafe { let _ = close(number); });
                    }
                }
                IS_OVER.store(true, Relaxed);
            });
            let length = file.metadata().unwrap().len();
            std::fs::remove_file(path).unwrap();
            assert_eq!(length, 0);
            std::thread::Builder::new().name("clerk".into()).spawn(std::thread::park).unwrap();
        }
        "#,
        "-j1",
    );
    let test = ran.test("shop::takes_the_number");
    assert_eq!(test["outcome"], "passed", "{ran}");
    assert_eq!(test["leaks"][0]["what"], "clerk", "{ran}");
}

/// By system calls that the agent does not see.
#[cfg(target_arch = "x86_64")]
const RAW: &str = r#"
    fn raw(call: usize, first: usize, second: usize) {
        // SAFETY: calls that are about descriptors only.
        unsafe {
            std::arch::asm!(
                "syscall", inlateout("rax") call => _, in("rdi") first, in("rsi") second, in("rdx") 0,
                out("rcx") _, out("r11") _,
            );
        }
    }
"#;

#[cfg(target_arch = "x86_64")]
#[test]
fn a_channel_that_a_test_has_closed_is_missed_at_once() {
    let ran = ran(
        &(RAW.to_owned()
            + r#"
        #[test]
        fn closes_everything() {
            let log = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap());
            let was_here = log.join("closed").exists();
            std::fs::write(log.join("closed"), "").unwrap();
            // close_range(2)
            raw(436, 3, u32::MAX as usize);
            while !was_here { std::thread::park() }
        }
        "#),
        "-j1",
    );
    let test = ran.test("shop::closes_everything");
    assert_eq!(test["outcome"], "passed", "{ran}");
    assert!(ran.stderr.contains("its tests run without it"), "{ran}");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn what_is_redirected_behind_the_agents_back_goes_there() {
    let ran = ran(
        &(RAW.to_owned()
            + r#"
        use std::os::fd::AsRawFd;
        #[test]
        fn redirects() {
            let path = std::path::PathBuf::from(std::env::var_os("FIXTURE_LOG").unwrap()).join("out");
            let file = std::fs::File::create(&path).unwrap();
            let stdout = std::fs::File::open("/dev/null").unwrap();
            // dup2(2)
            raw(33, 1, stdout.as_raw_fd() as usize);
            raw(33, file.as_raw_fd() as usize, 1);
            // SAFETY: bytes of that length.
            unsafe { write(1, b"for the test
".as_ptr(), 13) };
            raw(33, stdout.as_raw_fd() as usize, 1);
            // SAFETY: as above.
            unsafe { write(1, b"for the report
".as_ptr(), 15) };
            assert_eq!(std::fs::read_to_string(path).unwrap(), "for the test
");
            panic!("to have its output told");
        }
        "#),
        "-j1",
    );
    let test = ran.test("shop::redirects");
    let output = test["output"].as_str().unwrap();
    assert!(output.starts_with("for the report\n"), "{ran}");
    assert!(output.contains("to have its output told"), "{ran}");
}

#[test]
fn what_a_thread_writes_after_the_end_of_its_test_follows() {
    let ran = ran(
        r#"
        use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
        unsafe extern "C" {
            fn atexit(handler: extern "C" fn()) -> i32;
        }
        /// libtest has told all verdicts.
        static EXITS: AtomicBool = AtomicBool::new(false);
        fn writes_early_and_late() {
            extern "C" fn exits() {
                EXITS.store(true, SeqCst);
            }
            // SAFETY: a function of the executable.
            unsafe { atexit(exits) };
            // SAFETY: bytes of that length.
            let says = |what: &'static str| unsafe { write(1, what.as_ptr(), what.len()) };
            says("early\n");
            std::thread::spawn(move || {
                while !EXITS.load(SeqCst) {
                    std::thread::yield_now();
                }
                says("late\n");
            });
        }
        #[test]
        fn passes() {
            writes_early_and_late();
        }
        #[test]
        fn fails() {
            writes_early_and_late();
            panic!();
        }
        "#,
        "-j2 --isolate",
    );
    for test in ["shop::passes", "shop::fails"] {
        let test = ran.test(test);
        let output = test["output"].as_str().unwrap();
        assert!(output.starts_with("early\n") && output.ends_with("late\n"), "{ran}");
    }
}

/// It is there before libtest has read its arguments.
#[test]
fn a_thread_of_a_constructor_is_no_news_of_libtest() {
    let ran = ran(
        r#"
        #[used]
        #[unsafe(link_section = ".init_array")]
        static BEFORE_MAIN: extern "C" fn() = {
            extern "C" fn starts() {
                std::thread::spawn(|| loop { std::thread::park() });
            }
            starts
        };
        #[test]
        fn leaves_a_thread() {
            assert!(std::env::args().all(|argument| argument != "--format"));
            std::thread::Builder::new().name("clerk".into()).spawn(std::thread::park).unwrap();
        }
        "#,
        "-j1",
    );
    let test = ran.test("shop::leaves_a_thread");
    assert_eq!(test["outcome"], "passed", "{ran}");
    assert_eq!(test["leaks"][0]["what"], "clerk", "{ran}");
    assert!(!ran.stderr.contains("warning"), "{ran}");
}

/// Of the keys of C libraries, too, whose destructors come after the agent's own.
#[test]
fn a_test_is_over_when_the_destructors_of_its_keys_have_run() {
    let ran = ran(
        r#"
        use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
        unsafe extern "C" {
            fn pthread_key_create(key: *mut u32, end: extern "C" fn(usize)) -> i32;
            fn pthread_setspecific(key: u32, value: usize) -> i32;
        }
        static HAS_RUN: AtomicBool = AtomicBool::new(false);
        static NEXT_RUNS: AtomicBool = AtomicBool::new(false);
        extern "C" fn end(_value: usize) {
            std::thread::sleep(std::time::Duration::from_millis(200));
            HAS_RUN.store(true, SeqCst);
        }
        #[test]
        fn a_sets_a_value() {
            let mut key = 0;
            // SAFETY: plain calls of libc.
            unsafe { assert_eq!([pthread_key_create(&mut key, end), pthread_setspecific(key, 1)], [0; 2]) };
        }
        #[test]
        fn b_runs_beside_it() { while !NEXT_RUNS.load(SeqCst) { std::thread::yield_now() } }
        #[test]
        fn c_runs_after_it() {
            NEXT_RUNS.store(true, SeqCst);
            assert!(HAS_RUN.load(SeqCst));
        }
        "#,
        "-j2 --policy unit",
    );
    assert_eq!(ran.finished()["passed"], 3, "{ran}");
}

/// Little of the memory that a test may allow itself is the agent's.
#[test]
fn a_limit_on_memory_is_the_tests_own() {
    let ran = ran(
        r#"
        #[test]
        fn has_little() {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let data = status.lines().find_map(|line| line.strip_prefix("VmData:")).unwrap();
            let data: u64 = data.trim().trim_end_matches(" kB").parse().unwrap();
            println!("{data} kB");
            // Of which the stack of the test's own thread is 2 MiB.
            assert!(data < 4 * 1024, "{data} kB");
        }
        "#,
        "-j1",
    );
    assert_eq!(ran.finished()["passed"], 1, "{ran}");
}
