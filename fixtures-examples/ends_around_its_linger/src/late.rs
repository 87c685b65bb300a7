//! Outlives its linger by far, and its process as well.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::starts::{
    _exit, by_popen, by_system, close_all, end_of_the_test, fork, fork_by_number, pause, shell,
    usleep,
};

/// Beside a thread that is busy it takes a while until one is believed that it does not wait for
/// that: as long as the other one needs for a second of work.
const LONG: Duration = Duration::from_secs(30);

fn named(name: &str, work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name(name.to_owned()).spawn(work).unwrap(); // left by a_thread_left: first // left by z_thread_left: last
}

#[test]
fn a_thread_left() {
    let end = end_of_the_test();
    named("first", move || {
        let _ = end.recv();
        thread::sleep(LONG);
    });
}

#[test]
fn b_process_left() {
    shell("exec sleep 30").spawn().unwrap(); // left: sleep 30
}

#[test]
fn c_thread_of_a_thread_left() {
    let end = end_of_the_test();
    thread::spawn(move || {
        let _ = end.recv();
        thread::spawn(|| thread::sleep(LONG)); // left: unnamed
    });
}

#[test]
fn d_busy_thread_left() {
    let end = end_of_the_test();
    thread::spawn(move || spin(&end)); // left: unnamed
}

fn spin(end: &std::sync::mpsc::Receiver<()>) {
    let _ = end.recv();
    while own_time() < Duration::from_secs(2) {
        (0..100_000).for_each(|_| std::hint::spin_loop());
    }
}

#[test]
fn e_process_without_a_parent_left() {
    assert!(shell("sleep 30 &").status().unwrap().success()); // left: *sleep 30*
}

#[test]
fn f_by_system_left() {
    by_system("sleep 30 &");
}

#[test]
fn g_by_popen_left() {
    by_popen("exec sleep 30");
}

#[test]
fn h_forked_left() {
    // SAFETY: the child makes system calls only.
    unsafe {
        let process = fork(); // left: fork of ends_around_its_linger
        if process == 0 {
            close_all();
            usleep(30_000_000);
            _exit(0);
        }
    }
}

/// Nobody is told of it: it is found when its process ends.
#[test]
fn i_forked_by_number_left() {
    if fork_by_number() { // left: fork of ends_around_its_linger (nowhere)
        close_all();
        loop {
            // SAFETY: a system call.
            unsafe { pause() };
        }
    }
}

/// The processor time of the calling thread: on a busy machine it needs the more of other time.
fn own_time() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap())
}

/// Ends with the process that holds the other end of its pipe.
#[test]
fn j_reads_from_its_process_left() {
    let mut cat = shell("exec cat");
    let child = cat.stdin(Stdio::piped()).spawn().unwrap(); // left: cat
    std::mem::forget(child);
}

/// The process goes on for a while, and then ends before those do.
#[test]
fn x_takes_its_time_harmless() {
    thread::sleep(Duration::from_secs(1));
}

#[test]
fn y_process_left() {
    shell("exec sleep 30").spawn().unwrap(); // left: sleep 30
}

#[test]
fn z_thread_left() {
    let end = end_of_the_test();
    named("last", move || {
        let _ = end.recv();
        thread::sleep(LONG);
    });
}
