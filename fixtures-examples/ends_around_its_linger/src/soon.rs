//! Ends within its linger, some time after its test: nothing is left.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::starts::{
    _exit, by_popen, by_system, close_all, end_of_the_test, fork, shell, usleep,
};

const A_WHILE: Duration = Duration::from_millis(300);

/// A thread that goes on for a while when its test has ended.
fn thread_outlives_its_test() {
    let end = end_of_the_test();
    thread::spawn(move || {
        let _ = end.recv();
        thread::sleep(A_WHILE);
    });
}

fn process_outlives_its_test() {
    shell("exec sleep 0.3").spawn().unwrap();
}

#[test]
fn a_thread_harmless() {
    thread_outlives_its_test();
}

#[test]
fn b_process_harmless() {
    process_outlives_its_test();
}

#[test]
fn c_thread_of_a_thread_harmless() {
    let end = end_of_the_test();
    thread::spawn(move || {
        let _ = end.recv();
        thread::spawn(|| thread::sleep(A_WHILE));
    });
}

#[test]
fn d_busy_thread_harmless() {
    let end = end_of_the_test();
    thread::spawn(move || {
        let _ = end.recv();
        let began = std::time::Instant::now();
        while began.elapsed() < A_WHILE {
            std::hint::spin_loop();
        }
    });
}

#[test]
fn e_process_without_a_parent_harmless() {
    assert!(shell("sleep 0.3 &").status().unwrap().success());
}

#[test]
fn f_by_system_harmless() {
    by_system("sleep 0.3 &");
}

#[test]
fn g_by_popen_harmless() {
    by_popen("exec sleep 0.3");
}

#[test]
fn h_forked_harmless() {
    // SAFETY: the child makes system calls only.
    unsafe {
        if fork() == 0 {
            close_all();
            usleep(300_000);
            _exit(0);
        }
    }
}

#[test]
fn i_nothing_harmless() {}

/// Ends when a pipe does, which a thread of its test holds for a while.
#[test]
fn j_process_and_thread_harmless() {
    let end = end_of_the_test();
    let mut child = shell("exec cat").stdin(Stdio::piped()).spawn().unwrap();
    let pipe = child.stdin.take();
    thread::spawn(move || {
        let _ = end.recv();
        thread::sleep(A_WHILE);
        drop(pipe);
    });
}

#[test]
fn y_process_harmless() {
    process_outlives_its_test();
}

#[test]
fn z_thread_harmless() {
    thread_outlives_its_test();
}
