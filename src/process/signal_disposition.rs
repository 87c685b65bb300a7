//! What this process was started to do at a signal.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::SIGHUP;

/// Whether this process was started to ignore hang-ups, as `nohup` does. Then it is no request, and
/// tests ignore it too.
pub fn ignores_hang_up() -> bool {
    is_ignored(SIGHUP)
}

/// From now on, a write past the limit on the size of files (`ulimit -f`) fails, instead of ending
/// the process. Programs that are started have the signal as it was: what a handler is set for is
/// reset when a process executes a program.
pub fn survive_file_size_limit() -> io::Result<()> {
    if !is_ignored(libc::SIGXFSZ) {
        // Nobody reads the flag: it is the handler that counts.
        signal_hook::flag::register(libc::SIGXFSZ, Arc::<AtomicBool>::default())?;
    }
    Ok(())
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: nothing but the present action is asked for; all bytes of the struct may be zero.
    unsafe {
        let mut present: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut present);
        present.sa_sigaction == libc::SIG_IGN
    }
}
