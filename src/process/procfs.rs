//! What the kernel tells about a process or a thread in `/proc`.
//!
//! Only Linux has these files. Elsewhere everything in here finds nothing, and there is no agent
//! whose reports would need it.

#[cfg(target_os = "linux")]
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The kernel's unit of time in these files, usually a hundredth of a second.
pub type Ticks = u64;

/// The state of a thread or a process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskStatus {
    /// Whether it sleeps or is stopped, and so is not about to exit by itself. One that is runnable
    /// or waits for a disk does not stay as it is, and on a busy machine it can take long to exit.
    pub is_idle: bool,
    /// The CPU time that it has used so far.
    pub cpu_time: Duration,
    /// The time since its start.
    pub age: Duration,
}

/// A process's or a thread's line in `/proc/PID/stat` (proc(5)).
pub(super) struct Stat(String);

impl Stat {
    pub(super) fn of(pid: u32) -> Option<Stat> {
        Stat::read(&pid.to_string())
    }

    pub(super) fn read(task: &str) -> Option<Stat> {
        fs::read_to_string(format!("/proc/{task}/stat")).ok().map(Stat)
    }

    /// A field by its number in proc(5). The second one, in parentheses, is the name, which may
    /// contain anything.
    fn field(&self, number: usize) -> Option<&str> {
        self.0.rsplit_once(')')?.1.split_whitespace().nth(number - 3)
    }

    fn number(&self, field: usize) -> Option<u64> {
        self.field(field)?.parse().ok()
    }

    fn state(&self) -> Option<char> {
        self.field(3)?.chars().next()
    }

    #[cfg(target_os = "linux")]
    fn parent(&self) -> Option<u32> {
        self.field(4)?.parse().ok()
    }

    /// The IDs of its process group and of its session: the PIDs of their leaders.
    pub(super) fn leaders(&self) -> Option<[u32; 2]> {
        Some([self.field(5)?.parse().ok()?, self.field(6)?.parse().ok()?])
    }

    pub(super) fn start_time(&self) -> Option<Ticks> {
        self.number(22)
    }

    /// Whether it was forked and has not executed another program since.
    pub(super) fn is_fork(&self) -> bool {
        const PF_FORKNOEXEC: u64 = 0x40;
        self.number(9).is_some_and(|flags| flags & PF_FORKNOEXEC != 0)
    }

    /// None if it has exited.
    pub(super) fn seen(&self) -> Option<TaskStatus> {
        let state = self.state().filter(|state| !matches!(state, 'Z' | 'X'))?;
        // Not `D`: a task that maps or frees memory is in that state too, also while it exits.
        let is_idle = matches!(state, 'S' | 'T' | 't');
        let cpu_time = self.number(14)? + self.number(15)?;
        Some(TaskStatus { is_idle, cpu_time: in_ticks(cpu_time), age: age(self.start_time()?) })
    }
}

#[cfg(target_os = "linux")]
fn in_ticks(ticks: Ticks) -> Duration {
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second().max(1))
}

/// How long ago something was started.
#[cfg(target_os = "linux")]
pub(super) fn age(born: Ticks) -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = Duration::try_from(now).unwrap_or_default();
    now.saturating_sub(in_ticks(born))
}

#[cfg(not(target_os = "linux"))]
fn in_ticks(_ticks: Ticks) -> Duration {
    Duration::ZERO
}

#[cfg(not(target_os = "linux"))]
pub(super) fn age(_born: Ticks) -> Duration {
    Duration::ZERO
}

/// Whether a process was started as this program.
pub(super) fn runs(pid: u32, executable: &Path) -> bool {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let first = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    !first.is_empty() && executable.as_os_str().as_encoded_bytes() == first
}

/// Whether a process is stopped until somebody lets it go on.
#[cfg(target_os = "linux")]
pub fn is_stopped(pid: rustix::process::Pid) -> bool {
    Stat::of(pid.as_raw_pid().unsigned_abs()).and_then(|stat| stat.state()) == Some('T')
}

/// Whether a process was started by another one, or by one that was.
#[cfg(target_os = "linux")]
pub fn is_below(process: rustix::process::Pid, ancestor: rustix::process::Pid) -> bool {
    let ancestor = ancestor.as_raw_pid().unsigned_abs();
    let mut next = Some(process.as_raw_pid().unsigned_abs());
    while let Some(pid) = next.filter(|pid| *pid > 1) {
        if pid == ancestor {
            return true;
        }
        next = Stat::of(pid).and_then(|stat| stat.parent());
    }
    false
}

/// The start time of a process, or none if it has exited. PID and start time together identify a
/// process, since PIDs are reused.
pub fn start_time(pid: u32) -> Option<Ticks> {
    let stat = Stat::of(pid)?;
    stat.start_time().filter(|_| !matches!(stat.state(), None | Some('Z' | 'X')))
}

/// A process as it is shown to the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessInfo {
    pub pid: u32,
    pub command: String,
    pub age: Duration,
}

/// None if it has exited, or where there is no `/proc`.
#[cfg(target_os = "linux")]
pub fn process_info(pid: u32) -> Option<ProcessInfo> {
    Some(ProcessInfo { pid, age: age(start_time(pid)?), command: command_line(pid) })
}

#[cfg(not(target_os = "linux"))]
pub fn process_info(_pid: u32) -> Option<ProcessInfo> {
    None
}

/// Whether SIGKILL is pending: on a busy machine it takes a while to be delivered.
pub(super) fn is_killed(pid: u32) -> bool {
    const SIGKILL: u64 = 1 << 8;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let pending = status.lines().filter_map(|line| {
        let mask = line.strip_prefix("SigPnd:").or_else(|| line.strip_prefix("ShdPnd:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    });
    pending.fold(0, |all, mask| all | mask) & SIGKILL != 0
}

pub(super) fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    match words.is_empty() {
        // The process is in the middle of `execve` or of its exit.
        true => fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().into(),
        false => words.join(" "),
    }
}

/// The environment of a process. It is empty for a moment during `execve`, and for good once the
/// process has exited.
pub(super) fn environment(pid: u32) -> Option<Vec<u8>> {
    const TRIES: usize = 5;
    (0..TRIES).find_map(|_| {
        let bytes = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let is_there = !bytes.is_empty();
        let may_come =
            || matches!(Stat::of(pid).and_then(|stat| stat.state()), Some('R' | 'S' | 'D'));
        if !is_there && may_come() {
            std::thread::sleep(Duration::from_millis(1));
        }
        is_there.then_some(bytes)
    })
}

/// The threads that remain of a process whose first thread has exited, without that one.
#[cfg(target_os = "linux")]
pub fn threads_of_ended(pid: u32) -> Vec<u32> {
    if Stat::of(pid).and_then(|stat| stat.state()) != Some('Z') {
        return Vec::new();
    }
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let threads = threads.filter_map(|thread| thread.file_name().to_str()?.parse().ok());
    threads.filter(|thread| *thread != pid).collect()
}

/// The children of a process, by the kernel's own list; none where there is no such list.
pub fn children_of(process: &str) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    tasks.flat_map(|task| children_in(&task.path().join("children"))).collect()
}

/// All processes below this one.
#[cfg(unix)]
pub fn descendants(process: u32) -> Vec<u32> {
    let mut found = children_of(&process.to_string());
    let mut next = 0;
    while let Some(child) = found.get(next) {
        found.extend(children_of(&child.to_string()));
        next += 1;
    }
    found
}

/// Whether a child of ours has started processes: what those have used that it has waited for is
/// added to its account, and nothing runs without a page fault; when it has ended, the others
/// are ours, and of its group. True where nobody can tell.
#[cfg(unix)]
pub fn has_had_children(process: u32) -> bool {
    // Behind the name, which may hold anything: state, parent, group, …, the faults of its own
    // and of its children, minor and major.
    let field = |process: u32, at: usize| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(at).map(str::to_owned)
    };
    let has_waited = [8, 10].iter().any(|at| field(process, *at).as_deref() != Some("0"));
    let group = Some(process.to_string());
    let mut ours = children_of("self").into_iter().filter(|child| *child != process);
    has_waited
        || !children_of(&process.to_string()).is_empty()
        || ours.any(|child| field(child, 2) == group)
}

/// Whether one of the process's descriptors is this, in the kernel's words.
#[cfg(unix)]
pub fn holds(process: u32, what: &str) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    descriptors
        .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
        .any(|target| target.as_os_str() == what)
}

/// Whether a process has memory: an exiting one gives it back before it closes its descriptors.
#[cfg(unix)]
pub fn has_memory(process: u32) -> bool {
    let pages = fs::read(format!("/proc/{process}/statm"));
    pages.is_ok_and(|pages| pages.first().is_some_and(|digit| *digit != b'0'))
}

/// Whether a process has nothing that its forks would have in common with it, and processes of
/// their own would not: no other thread, no child, no memory that it shares, and no descriptor
/// but its streams, so many of its own, and what all that we start inherit.
#[cfg(target_os = "linux")]
pub fn is_alone(pid: u32, descriptors: usize) -> bool {
    let names = |what: &str| {
        let entries = fs::read_dir(format!("/proc/{pid}/{what}")).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name())
    };
    let of = |process: &str, descriptor: &OsStr| {
        fs::read_link(Path::new("/proc").join(process).join("fd").join(descriptor)).ok()
    };
    let is_stream = |descriptor: &OsString| ["0", "1", "2"].iter().any(|it| descriptor == it);
    let is_inherited =
        |descriptor: &OsString| of("self", descriptor) == of(&pid.to_string(), descriptor);
    let own = names("fd").filter(|it| !is_stream(it) && !is_inherited(it)).count();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let mut flags = maps.lines().filter_map(|line| line.split(' ').nth(1));
    let shares = maps.is_empty() || flags.any(|flags| flags.contains('w') && flags.ends_with('s'));
    let has_children = !children_of(&pid.to_string()).is_empty();
    own == descriptors && names("task").count() == 1 && !shares && !has_children
}

/// The processes that came home to us: the kernel gives them to our first thread.
///
/// Nobody looks at the lists of the other threads, which hold the workers that these have
/// started. A thread that was looked at in /proc has to be removed from there when it ends, and
/// on a busy machine our parent then waits for that longer than a small run takes.
pub(super) fn adopted() -> Vec<u32> {
    children_in(Path::new(&format!("/proc/self/task/{}/children", std::process::id())))
}

/// Those that came home to us and are there, but for those that are to stay.
pub fn living_orphans(but: &[u32]) -> Vec<ProcessInfo> {
    let strays = adopted().into_iter().filter(|pid| !but.contains(pid) && !is_killed(*pid));
    strays.filter_map(process_info).collect()
}

fn children_in(list: &Path) -> Vec<u32> {
    let list = fs::read_to_string(list).unwrap_or_default();
    list.split_whitespace().flat_map(str::parse).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::process::Command;

    /// Whether a shell is alone after it has said a line.
    fn alone(script: &str, descriptors: usize) -> bool {
        use std::io::BufRead;
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(std::process::Stdio::piped());
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        std::io::BufReader::new(stdout).read_line(&mut line).unwrap();
        let is_alone = is_alone(child.id(), descriptors);
        // The end of its input ends it, and what it has started.
        drop(child.stdin.take());
        child.wait().unwrap();
        is_alone
    }

    #[test]
    fn alone_is_who_has_neither_children_nor_descriptors_of_its_own() {
        assert!(alone("echo; read end", 0));
        assert!(alone("exec 7</dev/null; echo; read end", 1));
        assert!(!alone("exec 7</dev/null; echo; read end", 0));
        assert!(!alone("sleep 600 & echo; read end; kill $!", 0));
        assert!(!is_alone(std::process::id(), 0), "we have other threads");
    }
}
