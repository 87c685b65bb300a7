//! Sending signals to processes, process groups and process trees.

use rustix::process::{Pid, Signal, kill_process_group};

use super::event::ForwardedSignal;
use super::procfs;
use super::reap::stopped_by;

pub fn kill_group(pid: u32) {
    send(pid, Signal::KILL);
}

pub fn stop_group(pid: u32) {
    send(pid, Signal::STOP);
}

pub fn continue_group(pid: u32) {
    send(pid, Signal::CONT);
}

pub fn signal_group(pid: u32, signal: ForwardedSignal) {
    send(
        pid,
        match signal {
            ForwardedSignal::Interrupt => Signal::INT,
            ForwardedSignal::Terminate => Signal::TERM,
            ForwardedSignal::HangUp => Signal::HUP,
            ForwardedSignal::Quit => Signal::QUIT,
        },
    );
    // A stopped process handles the signal only once it continues.
    send(pid, Signal::CONT);
}

/// Sends a real-time signal to a process alone, unless it is stopped or gone and could not handle
/// it. Returns whether it did.
pub fn ask_running(pid: u32, signal: i32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    stopped_by(pid).is_none() && signal_process(pid, signal)
}

/// Sends a signal of any number to a process alone. Returns whether it is there.
pub fn signal_process(pid: Pid, signal: i32) -> bool {
    // SAFETY: the number is the one that the agent has said it listens to; it is below
    // the kernel's highest signal, and any such number may be sent.
    let signal = unsafe { Signal::from_raw_unchecked(signal) };
    rustix::process::kill_process(pid, signal).is_ok()
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // ESRCH: the group is empty, which is as good.
        let _ = kill_process_group(pid, signal);
    }
}

/// Asks a process and all that it has started to end. Each is stopped first: it neither starts
/// anything more nor reports the end of a child as a failure.
pub fn terminate_tree(pid: u32) {
    signal_one(pid, Signal::STOP);
    for child in procfs::children_of(&pid.to_string()) {
        terminate_tree(child);
    }
    signal_one(pid, Signal::TERM);
    // It takes the signal only when it goes on.
    signal_one(pid, Signal::CONT);
}

pub fn stop_tree(pid: u32) {
    signal_tree(pid, Signal::STOP);
}

pub fn continue_tree(pid: u32) {
    signal_tree(pid, Signal::CONT);
}

/// Descendants come first, so that none of them loses its parent before it is found.
fn signal_tree(pid: u32, signal: Signal) {
    for child in procfs::children_of(&pid.to_string()) {
        signal_tree(child, signal);
    }
    signal_one(pid, signal);
}

/// Asks a process that is no child of ours to end.
pub fn terminate(pid: u32) {
    signal_one(pid, Signal::TERM);
}

fn signal_one(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have exited by itself.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

pub fn signal_name(signal: i32) -> String {
    signal_hook::low_level::signal_name(signal)
        .map_or_else(|| format!("signal {signal}"), str::to_owned)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_that_is_ended_with_its_children_does_not_report_their_end() {
        // While the many others are signalled there is time to notice the end of the first.
        let script = "sleep 1000 & first=$!; i=0
            while [ $i -lt 100 ]; do sleep 1000 & i=$((i + 1)); done
            echo ready; wait $first; echo a child was lost";
        let mut shell =
            Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut printed = BufReader::new(shell.stdout.take().unwrap());
        let mut line = String::new();
        printed.read_line(&mut line).unwrap();
        terminate_tree(shell.id());
        shell.wait().unwrap();
        printed.read_to_string(&mut line).unwrap();
        assert_eq!(line, "ready\n");
    }
}
