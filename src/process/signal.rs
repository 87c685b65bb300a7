//! Signals to processes, to their groups, and to all that they have started.

use rustix::process::{Pid, Signal, kill_process_group};

use super::event::Passed;
use super::procfs;

pub fn kill_group(pid: u32) {
    send(pid, Signal::KILL);
}

pub fn stop_group(pid: u32) {
    send(pid, Signal::STOP);
}

pub fn go_on_group(pid: u32) {
    send(pid, Signal::CONT);
}

pub fn signal_group(pid: u32, signal: Passed) {
    send(
        pid,
        match signal {
            Passed::Interrupt => Signal::INT,
            Passed::Terminate => Signal::TERM,
            Passed::HangUp => Signal::HUP,
            Passed::Quit => Signal::QUIT,
        },
    );
    // A stopped process takes its signal only when it goes on.
    send(pid, Signal::CONT);
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // ESRCH: nobody is left in the group, which is what was wanted.
        let _ = kill_process_group(pid, signal);
    }
}

/// Asks them to end.
pub fn end_tree(pid: u32) {
    signal_tree(pid, Signal::TERM);
}

pub fn stop_tree(pid: u32) {
    signal_tree(pid, Signal::STOP);
}

pub fn go_on_tree(pid: u32) {
    signal_tree(pid, Signal::CONT);
}

/// The youngest first, so that none is left without its parent while it is looked for.
fn signal_tree(pid: u32, signal: Signal) {
    for child in procfs::children_of(&pid.to_string()) {
        signal_tree(child, signal);
    }
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    // It may have ended by itself.
    let _ = rustix::process::kill_process(pid, signal);
}

/// Asks a process that is no child of ours to end.
pub fn ask_to_end(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
}

pub fn signal_name(signal: i32) -> String {
    signal_hook::low_level::signal_name(signal)
        .map_or_else(|| format!("signal {signal}"), str::to_owned)
}
