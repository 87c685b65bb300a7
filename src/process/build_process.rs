//! A build below a child subreaper, which adopts what the build leaves running: a compiler cache's
//! server, say.
//!
//! Tests may run beside the build. An orphan is then reparented to us if a test started it, and to
//! the subreaper if the build did, whatever else the two have in common. The subreaper stays until
//! it is released, and meanwhile the PID of the build is not reused.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, ExitStatus};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};

use super::procfs;
use super::syscalls::SignalMask;

/// Its own process name, so that a `pkill` of the command's name does not hit it.
const NAME: &std::ffi::CStr = c"partest-build";

/// Where the kernel cannot close a range of descriptors, none above this one is closed.
const MOST_DESCRIPTORS: RawFd = 1 << 16;

/// A build, and the subreaper above it.
#[derive(Debug)]
pub struct BuildProcess {
    /// The subreaper; the build itself if the system refused one more process.
    child: Child,
    build: u32,
    /// The subreaper's socket. It exits when this is closed.
    line: Option<OwnedFd>,
}

impl BuildProcess {
    /// Spawns a build whose stdout is a pipe.
    pub fn spawn(mut command: Command) -> io::Result<(BuildProcess, Option<ChildStdout>)> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let line = theirs.as_raw_fd();
        // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
        unsafe { command.pre_exec(move || part(line)) };
        let mut child = command.spawn()?;
        drop(theirs);
        let stdout = child.stdout.take();
        let told = read_number(&ours).and_then(|build| u32::try_from(build).ok());
        let (build, line) = match told {
            Some(build) => (build, Some(ours)),
            None => (child.id(), None),
        };
        Ok((BuildProcess { child, build, line }, stdout))
    }

    /// Spawns a build without a subreaper.
    pub fn spawn_without_subreaper(
        mut command: Command,
    ) -> io::Result<(BuildProcess, Option<ChildStdout>)> {
        let mut child = command.spawn()?;
        let stdout = child.stdout.take();
        let build = child.id();
        Ok((BuildProcess { child, build, line: None }, stdout))
    }

    /// The PID of the build.
    pub fn id(&self) -> u32 {
        self.build
    }

    /// The PID of the subreaper, if there is one.
    pub fn subreaper(&self) -> Option<u32> {
        self.line.is_some().then(|| self.child.id())
    }

    /// What the build has left running until now: the subreaper's children but the build.
    pub fn left_running(&self) -> Vec<u32> {
        let children = self.subreaper().map(|pid| procfs::children_of(&pid.to_string()));
        let mut left = children.unwrap_or_default();
        left.retain(|pid| *pid != self.build);
        left
    }

    /// Waits until the build exits.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        match &self.line {
            Some(line) => {
                let status = read_number(line).ok_or(io::ErrorKind::BrokenPipe)?;
                Ok(ExitStatus::from_raw(status))
            }
            None => self.child.wait(),
        }
    }

    /// Ends the subreaper: what the build left running is reparented to us, or to the subreaper
    /// above us.
    pub fn release(mut self) {
        if self.line.take().is_some() {
            // Its exit status does not matter.
            let _ = self.child.wait();
        }
    }
}

fn read_number(line: &OwnedFd) -> Option<i32> {
    let mut bytes = [0; 4];
    loop {
        match rustix::io::read(line, &mut bytes) {
            // Written by one call, and so read as a whole.
            Ok(4) => return Some(i32::from_ne_bytes(bytes)),
            Err(rustix::io::Errno::INTR) => {}
            _ => return None,
        }
    }
}

/// Forks between fork and exec: the parent becomes the subreaper, and the child goes on to become
/// the build. If the system refuses one more process, the build is our child, and the socket is
/// closed.
fn part(line: RawFd) -> io::Result<()> {
    let Ok((closes, at_exec)) = pipe_with(PipeFlags::CLOEXEC) else { return Ok(()) };
    let set = rustix::process::set_child_subreaper;
    // Before the build can leave anything.
    let _ = set(Some(rustix::process::getpid()));
    // SAFETY: the child makes system calls only until it becomes another program, and so does the
    // parent until its end.
    match unsafe { libc::fork() } {
        // Closed on exec.
        0 => std::mem::forget(at_exec),
        ..0 => drop(set(None)),
        build => {
            drop(at_exec);
            take_in(build, line, closes.as_raw_fd())
        }
    }
    Ok(())
}

/// The subreaper's `main`.
fn take_in(build: i32, line: RawFd, closes: RawFd) -> ! {
    SignalMask::full().block();
    let _ = rustix::thread::set_name(NAME);
    let [first, second] = if line < closes { [line, closes] } else { [closes, line] };
    // A process that waits for one of the others to be closed, such as the build's stdout, must not
    // wait for us.
    close_range(0, first - 1);
    close_range(first + 1, second - 1);
    close_range(second + 1, RawFd::MAX);
    // SAFETY: nothing else in this process owns the two.
    let (line, closes) = unsafe { (OwnedFd::from_raw_fd(line), OwnedFd::from_raw_fd(closes)) };
    tell(&line, build);
    await_end(&closes);
    // The build has executed its program, or is about to exit because that failed. In that case std
    // waits for us.
    let has_begun = has_become_another_program(build);
    let status = await_build(build);
    if !has_begun {
        tell(&line, status);
        reap(build);
        exit()
    }
    // From now on the kernel reaps what the build left. SAFETY: what is set is no handler that
    // could be wrong.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    tell(&line, status);
    await_end(&line);
    reap(build);
    exit()
}

fn reap(child: i32) {
    // SAFETY: the call writes to no memory of ours.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), libc::WNOHANG) };
}

fn exit() -> ! {
    // SAFETY: exits without running any code of the process.
    unsafe { libc::_exit(0) }
}

fn tell(line: &OwnedFd, number: i32) {
    // Nothing is left to be done if the runner is gone.
    let _ = rustix::io::write(line, &number.to_ne_bytes());
}

/// Waits until the other end is closed.
fn await_end(from: &OwnedFd) {
    let mut byte = [0];
    while !matches!(rustix::io::read(from, &mut byte), Ok(0) | Err(rustix::io::Errno::BADF)) {}
}

/// Waits until the build exits, and returns its wait status. The build stays a zombie, so that its
/// PID is not reused.
fn await_build(build: i32) -> i32 {
    loop {
        match next_end() {
            Some((pid, status)) if pid == build => return status,
            Some((pid, _)) => reap(pid),
            // Interrupted: the build is our child, so there is one to wait for.
            None => {}
        }
    }
}

/// Whether a process has executed a program since its fork (proc(5), field 9 of `stat`). The kernel
/// sets that before it closes descriptors on exec, and keeps it for a zombie.
fn has_become_another_program(pid: i32) -> bool {
    /// From the kernel's `sched.h`.
    const ONLY_A_FORK: u32 = 0x40;
    const FIELDS_BEFORE: usize = 6;
    let (mut path, mut stat) = ([0_u8; 32], [0_u8; 1024]);
    // Neither of these allocates.
    let written =
        io::Write::write_fmt(&mut path.as_mut_slice(), format_args!("/proc/{pid}/stat\0"));
    let read = std::ffi::CStr::from_bytes_until_nul(&path).ok().and_then(|path| {
        let flags = rustix::fs::OFlags::RDONLY;
        let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).ok()?;
        rustix::io::read(file, &mut stat).ok()
    });
    let told = &stat[..read.filter(|_| written.is_ok()).unwrap_or(0)];
    let behind_name = told.iter().rposition(|byte| *byte == b')').map_or(told.len(), |at| at + 2);
    let mut fields = told.get(behind_name..).unwrap_or_default().split(|byte| *byte == b' ');
    let flags = fields.nth(FIELDS_BEFORE).and_then(|field| std::str::from_utf8(field).ok());
    flags.and_then(|flags| flags.parse::<u32>().ok()).is_some_and(|flags| flags & ONLY_A_FORK == 0)
}

/// The next child that has exited, and its wait status; it stays a zombie.
fn next_end() -> Option<(i32, i32)> {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOWAIT;
    // SAFETY: the call fills `info`, or leaves its zeros, which are valid; for a child that has
    // exited it sets PID and status.
    let (pid, code, status) = unsafe {
        if libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) != 0 {
            return None;
        }
        let info = info.assume_init_ref();
        (info.si_pid(), info.si_code, info.si_status())
    };
    let status = if code == libc::CLD_EXITED { status << 8 } else { status };
    (pid != 0).then_some((pid, status))
}

fn close_range(first: RawFd, last: RawFd) {
    let (Ok(from), Ok(to)) = (u32::try_from(first), u32::try_from(last)) else { return };
    // SAFETY: nothing in this process uses any of them.
    unsafe {
        if from <= to && libc::syscall(libc::SYS_close_range, from, to, 0) != 0 {
            for descriptor in first..=last.min(MOST_DESCRIPTORS) {
                libc::close(descriptor);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::procfs::children_of;
    use std::io::Read;
    use std::process::Stdio;

    fn shell(script: &str) -> (BuildProcess, String) {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::piped());
        let (fostered, stdout) = BuildProcess::spawn(command).unwrap();
        let mut text = String::new();
        stdout.unwrap().read_to_string(&mut text).unwrap();
        (fostered, text)
    }

    fn lives(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    }

    #[test]
    fn what_a_build_leaves_is_taken_in_until_it_is_released() {
        let (mut build, text) = shell("(sleep 600 >&- 2>&- & echo $!); echo $$; exit 3");
        let pids: Vec<&str> = text.lines().collect();
        assert_eq!(build.id().to_string(), pids[1]);
        assert_eq!(build.wait().unwrap().code(), Some(3));
        let kept = children_of(&build.subreaper().unwrap().to_string());
        assert!(kept.iter().any(|pid| pid.to_string() == pids[0]), "{kept:?} {text}");
        let left = rustix::process::Pid::from_raw(pids[0].parse().unwrap()).unwrap();
        let subreaper = build.subreaper().unwrap().to_string();
        build.release();
        assert!(!lives(&subreaper));
        assert!(lives(pids[0]));
        rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
    }

    #[test]
    fn a_build_that_is_killed_or_never_begins_says_so() {
        let (mut build, _) = shell("kill -9 $$");
        assert_eq!(build.wait().unwrap().signal(), Some(9));
        build.release();
        let missing = Command::new("/nowhere/cargo");
        assert_eq!(BuildProcess::spawn(missing).unwrap_err().kind(), io::ErrorKind::NotFound);
        // However fast it fails.
        for _ in 0..50 {
            let missing = Command::new("/nowhere/cargo");
            assert!(BuildProcess::spawn(missing).is_err());
        }
        assert!(BuildProcess::spawn(Command::new("true")).unwrap().0.wait().unwrap().success());
    }
}
