//! Processes that outlive their test, and others that do not.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;

unsafe extern "C" {
    fn _exit(code: i32) -> !;
    fn close_range(first: u32, last: u32, flags: i32) -> i32;
    fn fork() -> i32;
    fn kill(process: i32, signal: i32) -> i32;
    fn pause() -> i32;
    fn setsid() -> i32;
    fn waitpid(process: i32, status: *mut i32, options: i32) -> i32;
}

/// A process that outlives every run.
fn sleeper() -> Command {
    let mut sleeper = Command::new("sleep");
    sleeper.arg("1000");
    sleeper
}

fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script]);
    shell
}

fn put_an_end_to(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

// Whatever its stdio is.

#[test]
fn stdio_inherited_left() {
    sleeper().spawn().unwrap(); // left: sleep 1000
}

#[test]
fn stdio_inherited_harmless() {
    put_an_end_to(sleeper().spawn().unwrap());
}

#[test]
fn stdio_null_left() {
    let mut sleeper = sleeper();
    sleeper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    sleeper.spawn().unwrap(); // left: sleep 1000
}

#[test]
fn stdio_null_harmless() {
    let mut sleeper = sleeper();
    sleeper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    put_an_end_to(sleeper.spawn().unwrap());
}

#[test]
fn stdio_piped_left() {
    let mut sleeper = sleeper();
    sleeper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    sleeper.spawn().unwrap(); // left: sleep 1000
}

#[test]
fn stdio_piped_harmless() {
    let mut sleeper = sleeper();
    sleeper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    put_an_end_to(sleeper.spawn().unwrap());
}

#[test]
fn reads_for_ever_left() {
    let mut tail = Command::new("tail");
    tail.args(["-f", "/dev/null"]).spawn().unwrap(); // left: tail -f /dev/null
}

#[test]
fn reads_from_a_pipe_harmless() {
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

/// It ends by itself as soon as its pipe does.
#[test]
fn reads_from_a_pipe_and_is_not_waited_for_harmless() {
    let mut cat = Command::new("cat");
    let mut child = cat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"hello").unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "hello");
}

#[test]
fn keeps_printing_left() {
    shell("while :; do echo tick; sleep 0.05; done").spawn().unwrap(); // left: sh -c while :; do echo tick; sleep 0.05; done
}

#[test]
fn prints_a_little_harmless() {
    let output = shell("echo tick; echo tack >&2").output().unwrap();
    assert_eq!((output.stdout, output.stderr), (b"tick\n".to_vec(), b"tack\n".to_vec()));
}

/// Whoever reads from the pipe to its end waits for the process.
#[test]
fn holds_a_pipe_left() {
    let (_reader, writer) = std::io::pipe().unwrap();
    sleeper().stdout(writer).spawn().unwrap(); // left: sleep 1000
}

#[test]
fn holds_a_pipe_harmless() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    shell("echo there").stdout(writer).spawn().unwrap();
    assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), 6);
}

// Ended or not, waited for or not.

#[test]
fn killed_and_not_waited_for_harmless() {
    sleeper().spawn().unwrap().kill().unwrap();
}

#[test]
fn ends_by_itself_harmless() {
    Command::new("true").spawn().unwrap();
}

#[test]
fn ends_badly_by_itself_harmless() {
    shell("exit 3").spawn().unwrap();
}

#[test]
fn twenty_end_by_themselves_harmless() {
    for _ in 0..20 {
        Command::new("true").spawn().unwrap();
    }
}

#[test]
fn looked_at_left() {
    assert!(sleeper().spawn().unwrap().try_wait().unwrap().is_none()); // left: sleep 1000
}

#[test]
fn looked_at_until_it_ends_harmless() {
    let mut child = Command::new("true").spawn().unwrap();
    while child.try_wait().unwrap().is_none() {
        thread::yield_now();
    }
}

#[test]
fn two_of_three_left() {
    let mut child = sleeper().spawn().unwrap();
    sleeper().spawn().unwrap(); // left: sleep 1000
    Command::new("sleep").arg("2000").spawn().unwrap(); // left: sleep 2000
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Ends its process when it is dropped.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn guard_forgotten_left() {
    std::mem::forget(Guard(sleeper().spawn().unwrap())); // left: sleep 1000
}

#[test]
fn guard_dropped_harmless() {
    let _guard = Guard(sleeper().spawn().unwrap());
}

#[test]
#[should_panic(expected = "as it should")]
fn should_panic_left() {
    sleeper().spawn().unwrap(); // left: sleep 1000
    panic!("as it should");
}

#[test]
#[should_panic(expected = "as it should")]
fn should_panic_harmless() {
    let _guard = Guard(sleeper().spawn().unwrap());
    panic!("as it should");
}

#[test]
fn started_by_a_thread_left() {
    let thread = thread::spawn(|| {
        sleeper().spawn().unwrap(); // left: sleep 1000
    });
    thread.join().unwrap();
}

#[test]
fn started_by_a_thread_harmless() {
    let thread = thread::spawn(|| sleeper().spawn().unwrap());
    put_an_end_to(thread.join().unwrap());
}

// Processes of processes.

#[test]
fn through_a_shell_left() {
    assert!(shell("sleep 1000 &").status().unwrap().success()); // left: *sleep 1000*
}

#[test]
fn through_a_shell_harmless() {
    assert!(shell("sleep 0.01 & true & wait").status().unwrap().success());
}

#[test]
fn through_two_shells_left() {
    assert!(shell("sh -c 'sleep 1000 & true'; true").status().unwrap().success()); // left: *sleep 1000*
}

#[test]
fn through_two_shells_harmless() {
    assert!(shell("sh -c 'true & wait'; true").status().unwrap().success());
}

#[test]
fn shell_and_its_child_left() {
    let mut child = shell("sleep 1000 & echo there; wait");
    let mut child = child.stdout(Stdio::piped()).spawn().unwrap(); // left: sh -c sleep 1000 & echo there; wait
    child.stdout.take().unwrap().read_exact(&mut [0; 6]).unwrap();
}

#[test]
fn child_of_a_killed_shell_left() {
    let mut child = shell("sleep 1000 & echo there; wait");
    let mut child = child.stdout(Stdio::piped()).spawn().unwrap(); // left: *sleep 1000*
    child.stdout.take().unwrap().read_exact(&mut [0; 6]).unwrap();
    put_an_end_to(child);
}

/// A second child, and a session of its own: what daemons do.
fn become_a_daemon() -> std::io::Result<()> {
    // SAFETY: these may be called between fork and exec.
    unsafe {
        setsid();
        match fork() {
            0 => Ok(()),
            -1 => Err(std::io::Error::last_os_error()),
            _ => _exit(0),
        }
    }
}

fn daemon(mut program: Command) -> Command {
    program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: as that function says.
    unsafe { program.pre_exec(become_a_daemon) };
    program
}

#[test]
fn daemon_left() {
    assert!(daemon(sleeper()).status().unwrap().success()); // left: sleep 1000
}

#[test]
fn daemon_harmless() {
    assert!(daemon(Command::new("true")).status().unwrap().success());
}

/// The environment of a process, without what tells whose it is.
fn without_environment(mut program: Command) -> Command {
    let log = std::env::var_os("FIXTURE_LOG").unwrap_or_default();
    program.env_clear().env("FIXTURE_LOG", log);
    program
}

#[test]
fn without_environment_left() {
    without_environment(sleeper()).spawn().unwrap(); // left: sleep 1000
}

#[test]
fn without_environment_harmless() {
    put_an_end_to(without_environment(sleeper()).spawn().unwrap());
}

#[test]
fn daemon_without_environment_left() {
    let mut daemon = daemon(without_environment(sleeper()));
    assert!(daemon.status().unwrap().success()); // left: sleep 1000
}

// In groups and sessions of their own.

#[test]
fn group_of_its_own_left() {
    sleeper().process_group(0).spawn().unwrap(); // left: sleep 1000
}

#[test]
fn group_of_its_own_harmless() {
    put_an_end_to(sleeper().process_group(0).spawn().unwrap());
}

fn in_a_session_of_its_own(mut program: Command) -> Command {
    let begin = || match unsafe { setsid() } {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(()),
    };
    // SAFETY: `setsid` may be called between fork and exec.
    unsafe { program.pre_exec(begin) };
    program
}

#[test]
fn session_of_its_own_left() {
    in_a_session_of_its_own(sleeper()).spawn().unwrap(); // left: sleep 1000
}

#[test]
fn session_of_its_own_harmless() {
    put_an_end_to(in_a_session_of_its_own(sleeper()).spawn().unwrap());
}

// Hard to end.

#[test]
fn ignores_signals_left() {
    shell("trap '' TERM HUP INT; exec sleep 1000").spawn().unwrap(); // left: *sleep 1000
}

#[test]
fn stopped_left() {
    let child = sleeper().spawn().unwrap(); // left: sleep 1000
    signal(&child, 19);
}

#[test]
fn stopped_and_killed_harmless() {
    let child = sleeper().spawn().unwrap();
    signal(&child, 19);
    put_an_end_to(child);
}

fn signal(child: &Child, signal: i32) {
    let process = i32::try_from(child.id()).unwrap();
    // SAFETY: a signal to a child that nobody has waited for.
    assert_eq!(unsafe { kill(process, signal) }, 0);
}

// Without another program.

/// Without `exec`, nothing else closes the pipes of tests beside this one.
#[test]
fn forked_left() {
    // SAFETY: the child makes system calls only.
    unsafe {
        let process = fork(); // left: *
        if process == 0 {
            close_range(3, u32::MAX, 0);
        }
        while process == 0 {
            pause();
        }
    }
}

#[test]
fn forked_harmless() {
    // SAFETY: the child only ends.
    unsafe {
        match fork() {
            0 => _exit(0),
            process => assert_eq!(waitpid(process, &mut 0, 0), process),
        }
    }
}

#[test]
fn forked_and_not_waited_for_harmless() {
    // SAFETY: the child only ends.
    unsafe {
        if fork() == 0 {
            _exit(0);
        }
    }
}
