//! Exit statuses in words.

use std::process::ExitStatus;

/// The signal that terminated a process, if one did.
pub fn terminating_signal(status: ExitStatus) -> Option<i32> {
    #[cfg(unix)]
    return std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    {
        let _ = status;
        None
    }
}

/// An exit status in words: `exit code 3`, `SIGSEGV`.
pub fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = terminating_signal(status) {
        return signal_name(signal);
    }
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => "an unknown end".to_owned(),
    }
}

/// The name of a signal: `SIGSEGV`, `signal 40`.
pub fn signal_name(signal: i32) -> String {
    #[cfg(unix)]
    return super::kill::signal_name(signal);
    #[cfg(not(unix))]
    format!("signal {signal}")
}
