//! The examples of Python's `tl.testing.thread`, with the library.
//!
//! What ends in `_fails` has to fail, everything else has to pass, whoever runs it.

#![cfg(test)]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// A thread that stays as long as the sender that comes with it.
fn stay() -> (Sender<()>, impl FnOnce() + Send + 'static) {
    let (finish, finished): (_, Receiver<()>) = channel();
    (finish, move || assert!(finished.recv().is_err()))
}

fn long() -> Duration {
    Duration::from_secs(5)
}

fn short() -> Duration {
    Duration::from_millis(100)
}

fn said(payload: Box<dyn std::any::Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().unwrap()).to_owned(),
    }
}

mod joining {
    use super::*;

    #[test]
    fn recently_used_threads_are_gone() {
        let thread = partest::join_threads(long(), || {
            partest::spawn(|| std::thread::sleep(Duration::from_millis(50)))
        });
        assert!(thread.is_finished());
        assert_eq!(partest::active_count(), 0);
    }

    #[test]
    fn threads_of_std_are_waited_for_too() {
        let (done, is_done) = channel();
        partest::join_threads(long(), || {
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                done.send(()).unwrap();
            });
            // Beside other tests its owner is unknown; who waits for all waits for it as well.
            std::thread::sleep(Duration::from_millis(10));
        });
        if partest::sees_every_thread() {
            is_done.try_recv().unwrap();
        }
    }

    #[test]
    fn three_that_are_stuck_take_one_deadline() {
        let joiner = partest::ThreadJoiner::new(Duration::from_millis(300));
        let stays: Vec<_> = ["c", "a", "b"]
            .map(|name| {
                let (finish, body) = stay();
                partest::Builder::new().name(name).spawn(body).unwrap();
                finish
            })
            .into();
        let began = Instant::now();
        let error = joiner.join().unwrap_err();
        assert!(began.elapsed() >= Duration::from_millis(300));
        assert!(began.elapsed() < Duration::from_millis(800), "{:?}", began.elapsed());
        let named: Vec<String> = error.threads.iter().map(ToString::to_string).collect();
        let text = format!(
            "timeout joining threads {}, {}, {}: still alive after 300ms",
            named[0], named[1], named[2]
        );
        assert_eq!(error.to_string(), text);
        let names: Vec<&str> = error.threads.iter().filter_map(|t| t.name.as_deref()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        drop(stays);
    }

    #[test]
    fn a_stuck_one_fails() {
        let _threads = partest::join_threads(short(), || {
            let (finish, body) = stay();
            partest::Builder::new().name("Thread-2").spawn(body).unwrap();
            finish
        });
    }

    #[test]
    fn body_and_stuck_thread_both_count_fails() {
        partest::join_threads(short(), || {
            let (finish, body) = stay();
            partest::Builder::new().name("Thread-3").spawn(body).unwrap();
            std::mem::forget(finish);
            panic!("the body's own");
        });
    }

    #[test]
    fn an_inner_one_reports_and_an_outer_one_cleans_up() {
        let (finish, body) = stay();
        let names = partest::join_threads(long(), || {
            let inner = partest::ThreadJoiner::new(short());
            partest::Builder::new().name("Thread-5").spawn(body).unwrap();
            let sleep = || std::thread::sleep(Duration::from_millis(400));
            partest::Builder::new().name("Thread-4").spawn(sleep).unwrap();
            partest::Builder::new().name("Thread-6").spawn(|| ()).unwrap();
            let left = inner.left_behind();
            drop(finish);
            left.into_iter().filter_map(|thread| thread.name).collect::<Vec<_>>()
        });
        assert_eq!(names, ["Thread-4", "Thread-5"]);
        assert_eq!(partest::active_count(), 0);
    }
}

mod sample_test {
    use super::*;

    #[test]
    fn leave_behind_a_thread() {
        let _threads = partest::watch();
        partest::Builder::new().name("Thread-7").spawn(std::thread::park).unwrap();
    }

    #[test]
    fn dont_leave_behind_a_thread() {
        let _threads = partest::watch();
        partest::spawn(|| ()).join().unwrap();
    }

    #[test]
    fn leave_behind_a_thread_of_std() {
        let _threads = partest::watch();
        std::thread::spawn(std::thread::park);
    }

    #[test]
    fn format_message_on_threads_left_behind() {
        let _threads = partest::watch().format(|left| {
            let names: Vec<_> = left.threads.iter().filter_map(|t| t.name.as_deref()).collect();
            format!("\nMessy test: {}\nThe mess: {names:?}\n", left.test)
        });
        partest::Builder::new().name("Thread-8").spawn(std::thread::park).unwrap();
    }

    #[test]
    fn report_threads_left_behind() {
        let (log, entries) = channel();
        let threads = partest::watch().sink(move |text| log.send(text.to_owned()).unwrap());
        partest::Builder::new().name("Thread-9").spawn(std::thread::park).unwrap();
        let [thread] = &partest::active()[..] else { panic!("{:?}", partest::active()) };
        let expected = format!(
            "The following test left new threads behind:\n  \
             shop::sample_test::report_threads_left_behind\nNew thread(s):\n  {thread}"
        );
        drop(threads);
        assert_eq!(entries.try_iter().collect::<Vec<_>>(), [expected]);
    }

    #[test]
    fn a_thread_has_started_when_spawn_returns() {
        let _threads = partest::watch();
        for _ in 0..50 {
            let (finish, body) = stay();
            let thread = partest::spawn(body);
            assert_eq!(partest::active_count(), 1);
            drop(finish);
            thread.join().unwrap();
            assert_eq!(partest::active_count(), 0);
        }
    }
}

mod counting {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn only_threads_started_by_the_test_count() {
        partest::join_threads(long(), || {
            let (_finish, body) = stay();
            partest::spawn(body);
            assert_eq!(partest::active_count(), 1);
        });
    }

    #[test]
    fn threads_of_std_and_theirs_count_where_they_are_known() {
        let (finish, body) = stay();
        let (started, start) = channel();
        let thread = std::thread::spawn(move || {
            let inner = std::thread::spawn(body);
            started.send(()).unwrap();
            inner.join().unwrap();
        });
        start.recv().unwrap();
        let expected = if partest::sees_every_thread() { 2 } else { 0 };
        assert_eq!(partest::active_count(), expected, "{:?}", partest::active());
        drop(finish);
        thread.join().unwrap();
        assert_eq!(partest::active_count(), 0);
    }

    struct SetUp(Option<Sender<()>>, Option<partest::JoinHandle<()>>);

    impl SetUp {
        fn new() -> SetUp {
            let (finish, body) = stay();
            SetUp(Some(finish), Some(partest::spawn(body)))
        }
    }

    impl Drop for SetUp {
        fn drop(&mut self) {
            drop(self.0.take());
            self.1.take().unwrap().join().unwrap();
        }
    }

    #[test]
    fn threads_started_by_a_set_up_count() {
        let _threads = partest::watch().linger(long());
        let _set_up = SetUp::new();
        assert_eq!(partest::active_count(), 1);
    }

    static EXISTING: Mutex<Option<(Sender<()>, std::thread::JoinHandle<()>)>> = Mutex::new(None);

    #[test]
    fn a_thread_is_left_for_the_next_test() {
        let (finish, body) = stay();
        *EXISTING.lock().unwrap() = Some((finish, std::thread::spawn(body)));
    }

    #[test]
    fn an_existing_thread_may_finish() {
        let (finish, body) = stay();
        let own = partest::spawn(body);
        assert_eq!(partest::active_count(), 1);
        if let Some((finish, thread)) = EXISTING.lock().unwrap().take() {
            drop(finish);
            thread.join().unwrap();
        }
        assert_eq!(partest::active_count(), 1);
        drop(finish);
        own.join().unwrap();
    }

    #[test]
    fn threads_of_other_tests_never_count() {
        for _ in 0..100 {
            assert_eq!(partest::active_count(), 0, "{:?}", partest::active());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

mod collecting {
    use super::*;

    #[test]
    fn assertions_in_threads_become_failures_fails() {
        let _threads = partest::watch();
        partest::join_threads(long(), || {
            partest::Builder::new().name("door").spawn(|| panic!("just for fun")).unwrap();
        });
    }

    #[test]
    fn unhandled_errors_in_threads_become_failures_fails() {
        let _threads = partest::watch().linger(long());
        partest::spawn(|| 1 / std::hint::black_box(0));
    }

    #[test]
    fn test_and_thread_both_count_fails() {
        let _threads = partest::watch();
        partest::join_threads(long(), || {
            partest::spawn(|| panic!("the thread's"));
        });
        panic!("the test's");
    }

    #[test]
    fn who_joins_learns_of_a_panic_and_nobody_else() {
        let _threads = partest::watch();
        let fails = partest::spawn(|| panic!("just for fun"));
        assert_eq!(said(fails.join().unwrap_err()), "just for fun");
    }

    #[test]
    fn a_caught_panic_is_none() {
        let _threads = partest::watch().linger(long());
        partest::spawn(|| {
            let caught = std::panic::catch_unwind(|| panic!("just for fun"));
            assert_eq!(said(caught.unwrap_err()), "just for fun");
        });
    }
}

mod late {
    use super::*;
    use std::sync::Mutex;

    static TELL: Mutex<Option<(Sender<()>, Receiver<()>)>> = Mutex::new(None);

    #[test]
    fn b_late() {
        let (finish, finished) = channel();
        let (fail, failed) = channel();
        partest::Builder::new()
            .name("late")
            .spawn(move || {
                let _fail: Sender<()> = fail;
                let _: Result<(), _> = finished.recv();
                panic!("just for fun");
            })
            .unwrap();
        *TELL.lock().unwrap() = Some((finish, failed));
    }

    #[test]
    fn c_runs_meanwhile() {
        let _threads = partest::watch();
        if let Some((finish, failed)) = TELL.lock().unwrap().take() {
            drop(finish);
            failed.recv().unwrap_err();
        }
    }
}

mod silencing {
    use super::*;

    #[test]
    fn expected_panics_are_swallowed() {
        let _threads = partest::watch();
        partest::join_threads(long(), || {
            let builder = partest::Builder::new().name("silent").silent();
            builder.spawn(|| 1 / std::hint::black_box(0)).unwrap();
        });
    }

    #[test]
    fn who_joins_a_silent_one_gets_its_panic_all_the_same() {
        let silent = partest::Builder::new().silent().spawn(|| panic!("just for fun")).unwrap();
        assert_eq!(said(silent.join().unwrap_err()), "just for fun");
    }
}
