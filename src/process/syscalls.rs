//! Blocking signals, waiting for them, and learning which process sent one; and what else has no
//! safe function.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::process::Pid;

/// A signal and the PID of its sender, which is 0 for the kernel and for processes outside of our
/// PID namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReceivedSignal {
    pub signal: i32,
    pub sender: i32,
}

impl ReceivedSignal {
    pub const BYTES: usize = 8;

    fn new(info: &libc::siginfo_t) -> ReceivedSignal {
        let has_sender = matches!(info.si_code, libc::SI_USER | libc::SI_QUEUE | libc::SI_TKILL);
        // SAFETY: signals with these three codes have a sender.
        let sender = if has_sender { unsafe { info.si_pid() } } else { 0 };
        ReceivedSignal { signal: info.si_signo, sender }
    }

    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let number = i64::from(self.signal) << 32 | i64::from(self.sender);
        number.to_ne_bytes()
    }

    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> ReceivedSignal {
        let number = i64::from_ne_bytes(bytes);
        ReceivedSignal { signal: (number >> 32) as i32, sender: number as i32 }
    }
}

/// Which of the two processes this is after a fork.
pub enum ForkSide {
    Parent { child: Pid },
    Child,
}

/// Parts this process into two. Refused once there are threads: the child would miss them.
pub fn fork() -> io::Result<ForkSide> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // SAFETY: there is no other thread which could hold a lock that the child would need, so
    // the child is as free as we are.
    match unsafe { libc::fork() } {
        0 => Ok(ForkSide::Child),
        // No process has such a number.
        ..0 => Err(io::Error::last_os_error()),
        pid => Pid::from_raw(pid)
            .map(|child| ForkSide::Parent { child })
            .ok_or_else(io::Error::last_os_error),
    }
}

/// A set of signals to block.
pub struct SignalMask(libc::sigset_t);

impl SignalMask {
    pub fn of(signals: &[i32]) -> SignalMask {
        let mut set = SignalMask::full();
        // SAFETY: the set is a valid one, and ours; a number that is no signal is refused.
        unsafe {
            libc::sigemptyset(&mut set.0);
            for signal in signals {
                libc::sigaddset(&mut set.0, *signal);
            }
        }
        set
    }

    pub fn full() -> SignalMask {
        let mut set = std::mem::MaybeUninit::uninit();
        // SAFETY: the call fills the whole set.
        SignalMask(unsafe {
            libc::sigfillset(set.as_mut_ptr());
            set.assume_init()
        })
    }

    /// Blocks these signals in addition to those that are blocked. Returns the mask from before.
    pub fn block(&self) -> SignalMask {
        self.set(libc::SIG_BLOCK)
    }

    /// Blocks exactly these signals.
    pub fn restore(&self) {
        self.set(libc::SIG_SETMASK);
    }

    fn set(&self, how: i32) -> SignalMask {
        let mut former = SignalMask::full();
        // SAFETY: both sets are valid and ours. The call fails only for a wrong `how`.
        unsafe { libc::pthread_sigmask(how, &self.0, &mut former.0) };
        former
    }

    /// Waits for one of these signals, which must be blocked.
    pub fn wait(&self) -> ReceivedSignal {
        let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
        loop {
            // SAFETY: the set is valid, and a positive answer says that `info` was filled;
            // zeros are a valid one besides.
            let info = unsafe {
                match libc::sigwaitinfo(&self.0, info.as_mut_ptr()) {
                    signal if signal > 0 => info.assume_init_ref(),
                    // Interrupted by a stop and a continuation.
                    _ => continue,
                }
            };
            return ReceivedSignal::new(info);
        }
    }
}

/// Resets SIGCHLD, which our parent may have ignored: then children could not be waited for.
pub fn see_children_end() {
    // SAFETY: the default action has no handler that could be wrong.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Writes every such signal to this pipe from now on, together with its sender.
pub fn write_signals_to(signal: i32, pipe: &Arc<OwnedFd>) -> io::Result<()> {
    let pipe = pipe.clone();
    let write = move |info: &libc::siginfo_t| {
        // A full pipe holds more signals than anybody counts.
        let _ = rustix::io::write(&pipe, &ReceivedSignal::new(info).to_bytes());
    };
    // SAFETY: the action allocates nothing and makes one system call, which touches nothing
    // of ours; the registry keeps `errno`.
    unsafe { signal_hook_registry::register_sigaction(signal, write) }.map(drop)
}

/// Gives a byte to whoever reads the terminal next, as if it had been typed. Some kernels refuse
/// that (`dev.tty.legacy_tiocsti`); then it is lost.
pub fn type_ahead(byte: u8) {
    // SAFETY: the call reads this byte.
    unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCSTI, &raw const byte) };
}

/// The CPU time that a process has used so far, with threads that have ended; none if it is gone.
pub fn process_cpu_time(pid: u32) -> Option<std::time::Duration> {
    let (mut clock, mut time) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
    // SAFETY: both functions write what they are given a pointer to, and nothing else.
    let is_known = unsafe {
        libc::clock_getcpuclockid(pid.cast_signed(), &raw mut clock) == 0
            && libc::clock_gettime(clock, &raw mut time) == 0
    };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanoseconds = u32::try_from(time.tv_nsec).ok()?;
    is_known.then(|| std::time::Duration::new(seconds, nanoseconds))
}
