//! A build below a process of its own, which takes in what the build leaves running: a compiler's
//! cache, say.
//!
//! Tests may run beside the build. What loses its parent then comes home to the runner if a test
//! has started it, and to that process if the build has, whatever either says of itself. It stays
//! until it is released, and the build's number is nobody else's meanwhile.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, ExitStatus};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};

use super::syscalls::SignalMask;

/// A name of its own, as the guard's.
const NAME: &std::ffi::CStr = c"partest-build";

/// Where the kernel cannot close a range of descriptors, none above this is looked for.
const MOST_DESCRIPTORS: RawFd = 1 << 16;

/// A build, and who takes in what it leaves.
#[derive(Debug)]
pub struct BuildProcess {
    /// The process above the build; the build itself where there was no room for one more.
    child: Child,
    build: u32,
    /// The process above it ends with this line.
    line: Option<OwnedFd>,
}

impl BuildProcess {
    /// Starts a command whose stdout is a pipe.
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

    /// The same without anybody who takes in what it leaves.
    pub fn spawn_without_subreaper(
        mut command: Command,
    ) -> io::Result<(BuildProcess, Option<ChildStdout>)> {
        let mut child = command.spawn()?;
        let stdout = child.stdout.take();
        let build = child.id();
        Ok((BuildProcess { child, build, line: None }, stdout))
    }

    /// The number of the build's process.
    pub fn id(&self) -> u32 {
        self.build
    }

    /// Our child: what takes in what the build leaves, if there is such a process.
    pub fn subreaper(&self) -> Option<u32> {
        self.line.is_some().then(|| self.child.id())
    }

    /// Waits for the end of the build.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        match &self.line {
            Some(line) => {
                let status = read_number(line).ok_or(io::ErrorKind::BrokenPipe)?;
                Ok(ExitStatus::from_raw(status))
            }
            None => self.child.wait(),
        }
    }

    /// What the build has left comes home to us, or to whoever is above us.
    pub fn release(mut self) {
        if self.line.take().is_some() {
            // How it ends is of no interest.
            let _ = self.child.wait();
        }
    }
}

fn read_number(line: &OwnedFd) -> Option<i32> {
    let mut bytes = [0; 4];
    loop {
        match rustix::io::read(line, &mut bytes) {
            // Written by one call: it comes as a whole.
            Ok(4) => return Some(i32::from_ne_bytes(bytes)),
            Err(rustix::io::Errno::INTR) => {}
            _ => return None,
        }
    }
}

/// Goes on in the process that becomes the build. Without room for one more process the build is
/// our child, and the line ends.
fn part(line: RawFd) -> io::Result<()> {
    let Ok((closes, at_exec)) = pipe_with(PipeFlags::CLOEXEC) else { return Ok(()) };
    let set = rustix::process::set_child_subreaper;
    // Before the build can have left anything.
    let _ = set(Some(rustix::process::getpid()));
    // SAFETY: the child makes system calls only until it becomes another program, and so does the
    // parent until its end.
    match unsafe { libc::fork() } {
        // It closes when this becomes another program.
        0 => std::mem::forget(at_exec),
        ..0 => drop(set(None)),
        build => {
            drop(at_exec);
            take_in(build, line, closes.as_raw_fd())
        }
    }
    Ok(())
}

/// The life of the process above the build.
fn take_in(build: i32, line: RawFd, closes: RawFd) -> ! {
    SignalMask::full().block();
    let _ = rustix::thread::set_name(NAME);
    let [first, second] = if line < closes { [line, closes] } else { [closes, line] };
    // Whoever waits for the end of one of them, as for that of the build's output, must not wait
    // for us.
    close_range(0, first - 1);
    close_range(first + 1, second - 1);
    close_range(second + 1, RawFd::MAX);
    // SAFETY: nobody else in this process knows of the two.
    let (line, closes) = unsafe { (OwnedFd::from_raw_fd(line), OwnedFd::from_raw_fd(closes)) };
    tell(&line, build);
    await_end(&closes);
    // It has become another program, or is about to end without: then whoever has started us waits
    // for us.
    let has_begun = has_become_another_program(build);
    let status = await_build(build);
    if !has_begun {
        tell(&line, status);
        reap(build);
        exit()
    }
    // SAFETY: what is set is no handler that could be wrong. Of what ends from now on nothing is
    // left to be waited for.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    tell(&line, status);
    await_end(&line);
    reap(build);
    exit()
}

fn reap(child: i32) {
    // SAFETY: nothing is written anywhere.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), libc::WNOHANG) };
}

fn exit() -> ! {
    // SAFETY: ends the process, and runs nothing of it.
    unsafe { libc::_exit(0) }
}

fn tell(line: &OwnedFd, number: i32) {
    // A runner that is gone hears nothing.
    let _ = rustix::io::write(line, &number.to_ne_bytes());
}

/// Waits for the end of what is read here.
fn await_end(from: &OwnedFd) {
    let mut byte = [0];
    while !matches!(rustix::io::read(from, &mut byte), Ok(0) | Err(rustix::io::Errno::BADF)) {}
}

/// How the build has ended, which stays there to be waited for: until then its number is its own.
fn await_build(build: i32) -> i32 {
    loop {
        match next_end() {
            Some((pid, status)) if pid == build => return status,
            Some((pid, _)) => reap(pid),
            // There is the build.
            None => {}
        }
    }
}

/// Whether a process is more than a fork (proc(5), field 9 of `stat`). It says so before it closes
/// what is closed then, and also when it has ended.
fn has_become_another_program(pid: i32) -> bool {
    /// `PF_FORKNOEXEC` of the kernel's `sched.h`.
    const ONLY_A_FORK: u32 = 0x40;
    const FIELDS_BEFORE: usize = 6;
    let (mut path, mut stat) = ([0_u8; 32], [0_u8; 1024]);
    // Neither allocates.
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

/// The next child that has ended, and how; it stays there to be waited for.
fn next_end() -> Option<(i32, i32)> {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOWAIT;
    // SAFETY: the call fills what it is given, or leaves the zeros, which are valid; of a child that
    // has ended it tells number and status.
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
    // SAFETY: nobody in this process uses any of them.
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
        // However little it does, and however fast.
        for _ in 0..50 {
            let missing = Command::new("/nowhere/cargo");
            assert!(BuildProcess::spawn(missing).is_err());
        }
        assert!(BuildProcess::spawn(Command::new("true")).unwrap().0.wait().unwrap().success());
    }
}
