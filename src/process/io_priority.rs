//! The priority of a process's input and output, in which the agent may put its mark.

/// The priority of a process's input and output (ioprio_get(2)), which no file tells.
#[cfg(target_os = "linux")]
pub fn io_priority(pid: u32) -> Option<u32> {
    use std::ffi::{c_int, c_long};
    unsafe extern "C" {
        fn syscall(number: c_long, ...) -> c_long;
    }
    const IOPRIO_WHO_PROCESS: c_int = 1;
    let number: c_long = match std::env::consts::ARCH {
        "x86_64" => 252,
        "aarch64" => 31,
        // There is no agent that would set it.
        _ => return None,
    };
    let pid = c_int::try_from(pid).ok()?;
    // SAFETY: libc's function; the call of that number takes two numbers and touches no memory.
    let priority = unsafe { syscall(number, IOPRIO_WHO_PROCESS, pid) };
    u32::try_from(priority).ok()
}

#[cfg(not(target_os = "linux"))]
pub fn io_priority(_pid: u32) -> Option<u32> {
    None
}
