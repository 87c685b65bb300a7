//! Short commands, run to completion under supervision.

use std::io;
use std::process::{Command, ExitStatus};
use std::time::Instant;

use super::event::{ProcessEvent, Role, Stream, TerminateMode};
use super::platform::Supervised;
use super::process_groups::ProcessGroups;

/// The output and exit status of a command.
#[derive(Debug)]
pub struct CommandOutput {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// None if it was killed at the deadline.
    pub status: Option<ExitStatus>,
}

/// Runs a command until it exits, or kills it at the deadline.
pub fn run(
    command: Command,
    groups: &ProcessGroups,
    role: Role,
    until: Instant,
) -> io::Result<CommandOutput> {
    finish(Supervised::spawn(command, None, groups, role)?, until)
}

/// Waits until a command that was started without a channel exits, or kills it at the deadline.
pub fn finish(mut child: Supervised<'_>, until: Instant) -> io::Result<CommandOutput> {
    let (mut stdout, mut stderr, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
    let mut is_late = false;
    loop {
        match child.next((!is_late).then_some(until), &mut buffer)? {
            ProcessEvent::Output(Stream::Stdout) => stdout.append(&mut buffer),
            ProcessEvent::Output(_) => stderr.append(&mut buffer),
            ProcessEvent::Exited | ProcessEvent::WantsTerminal | ProcessEvent::ChannelLost => {}
            ProcessEvent::Reaped(status) => {
                let status = (!is_late).then_some(status);
                return Ok(CommandOutput { stdout, stderr, status });
            }
            ProcessEvent::DeadlinePassed => {
                is_late = true;
                child.terminate(TerminateMode::Kill);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::exit_status::describe;
    use crate::process::{portable, procfs};
    use std::time::Duration;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn both_streams_and_the_status_are_told() {
        let groups = ProcessGroups::default();
        let printed =
            run(shell("echo out; echo err >&2; exit 3"), &groups, Role::Lister, soon()).unwrap();
        assert_eq!((printed.stdout, printed.stderr), (b"out\n".to_vec(), b"err\n".to_vec()));
        assert_eq!(describe(printed.status.unwrap()), "exit code 3");
        assert!(groups.is_empty());
    }

    #[test]
    fn a_flood_on_both_streams_is_read_to_its_end() {
        let script = "head -c 3000000 /dev/zero & head -c 3000000 /dev/zero >&2; wait";
        let printed = run(shell(script), &ProcessGroups::default(), Role::Lister, soon()).unwrap();
        assert_eq!((printed.stdout.len(), printed.stderr.len()), (3_000_000, 3_000_000));
    }

    #[test]
    fn the_deadline_ends_the_whole_group() {
        let until = Instant::now() + Duration::from_millis(50);
        let printed =
            run(shell("sleep 1000 & sleep 1000"), &ProcessGroups::default(), Role::Lister, until)
                .unwrap();
        assert!(printed.status.is_none());
    }

    #[test]
    fn a_child_that_keeps_the_pipe_open_holds_up_nobody() {
        let printed =
            run(shell("sleep 1000 & echo done"), &ProcessGroups::default(), Role::Lister, soon())
                .unwrap();
        assert_eq!(printed.stdout, b"done\n");
        assert!(printed.status.unwrap().success());
    }

    #[test]
    fn neither_a_deadline_nor_an_end_waits_for_who_keeps_writing() {
        let until = Instant::now() + Duration::from_millis(50);
        let printed = run(shell("yes"), &ProcessGroups::default(), Role::Lister, until).unwrap();
        assert!(printed.status.is_none() && !printed.stdout.is_empty());
        let printed =
            run(shell("yes & exit 3"), &ProcessGroups::default(), Role::Lister, soon()).unwrap();
        assert_eq!(describe(printed.status.unwrap()), "exit code 3");
    }

    /// If we notice a deadline late, that is not the fault of the process.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_was_written_before_a_deadline_is_read_before_it_is_told() {
        let groups = ProcessGroups::default();
        let script = "echo a; echo b >&2; exec sleep 1000";
        let mut child = Supervised::spawn(shell(script), None, &groups, Role::Lister).unwrap();
        let sleeps =
            || procfs::process_info(child.pid()).is_none_or(|it| it.command == "sleep 1000");
        while !sleeps() {
            std::thread::yield_now();
        }
        let (mut told, mut buffer) = (Vec::new(), Vec::new());
        let now = Some(Instant::now());
        while let ProcessEvent::Output(_) = child.next(now, &mut buffer).unwrap() {
            told.append(&mut buffer);
        }
        told.sort_unstable();
        assert_eq!(told, b"\n\nab");
    }

    #[test]
    fn the_portable_path_does_not_wait_for_who_keeps_writing() {
        let groups = ProcessGroups::default();
        for (script, waits_long) in [("exec yes", false), ("yes & exit 2", true)] {
            let mut child =
                portable::Supervised::spawn(shell(script), None, &groups, Role::Lister).unwrap();
            let until = Instant::now() + Duration::from_millis(50);
            let until = if waits_long { soon() } else { until };
            let what = loop {
                match child.next(Some(until), &mut Vec::new()).unwrap() {
                    ProcessEvent::Output(_) => {}
                    what => break what,
                }
            };
            match waits_long {
                false => assert!(matches!(what, ProcessEvent::DeadlinePassed), "{what:?}"),
                true => assert!(matches!(what, ProcessEvent::Reaped(_)), "{what:?}"),
            }
        }
    }

    #[test]
    fn a_signal_has_a_name() {
        let printed =
            run(shell("kill -9 $$"), &ProcessGroups::default(), Role::Lister, soon()).unwrap();
        assert_eq!(describe(printed.status.unwrap()), "SIGKILL");
    }

    #[test]
    fn the_portable_path_ends_what_is_late() {
        let groups = ProcessGroups::default();
        let mut child =
            portable::Supervised::spawn(sleeper(), None, &groups, Role::Lister).unwrap();
        let now = Some(Instant::now());
        assert!(matches!(child.next(now, &mut Vec::new()).unwrap(), ProcessEvent::DeadlinePassed));
        child.terminate(TerminateMode::Kill);
        let ended = child.next(Some(soon()), &mut Vec::new()).unwrap();
        assert!(matches!(ended, ProcessEvent::Reaped(status) if describe(status) == "SIGKILL"));
    }

    fn sleeper() -> Command {
        let mut command = Command::new("sleep");
        command.arg("1000");
        command
    }

    #[test]
    fn the_portable_path_tells_the_same() {
        let groups = ProcessGroups::default();
        let mut child =
            portable::Supervised::spawn(shell("echo a; exit 2"), None, &groups, Role::Lister)
                .unwrap();
        let (mut told, mut buffer) = (Vec::new(), Vec::new());
        let status = loop {
            match child.next(Some(soon()), &mut buffer).unwrap() {
                ProcessEvent::Output(_) => told.append(&mut buffer),
                ProcessEvent::Exited | ProcessEvent::WantsTerminal | ProcessEvent::ChannelLost => {}
                ProcessEvent::Reaped(status) => break status,
                ProcessEvent::DeadlinePassed => panic!("too late"),
            }
        };
        assert_eq!((told, status.code()), (b"a\n".to_vec(), Some(2)));
    }
}
