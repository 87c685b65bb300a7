//! What ends just before and just after its linger, which is long in `soon` and short in `late`:
//! the first tests of a process, those in its middle, and its last ones. `// left: WHAT` says what
//! is left behind, whichever tests share the process.

#[cfg(test)]
mod late;
#[cfg(test)]
mod soon;

#[cfg(test)]
mod starts {
    use std::cell::RefCell;
    use std::ffi::{CString, c_char, c_int, c_void};
    use std::process::Command;
    use std::sync::mpsc::{Receiver, Sender, channel};

    thread_local! {
        /// Dropped together with a test's own thread.
        static AT_THE_END: RefCell<Option<Sender<()>>> = const { RefCell::new(None) };
    }

    /// Hears of the end of the running test.
    pub fn end_of_the_test() -> Receiver<()> {
        let (sender, receiver) = channel();
        AT_THE_END.set(Some(sender));
        receiver
    }

    pub fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        shell
    }

    unsafe extern "C" {
        pub fn fork() -> c_int;
        pub fn pause() -> c_int;
        pub fn usleep(microseconds: u32) -> c_int;
        pub fn _exit(code: c_int) -> !;
        fn close_range(first: u32, last: u32, flags: c_int) -> c_int;
        fn popen(command: *const c_char, mode: *const c_char) -> *mut c_void;
        fn syscall(number: std::ffi::c_long, ...) -> std::ffi::c_long;
        fn system(command: *const c_char) -> c_int;
    }

    /// By C's own function, which tells nobody what it starts.
    pub fn by_system(command: &str) {
        let command = CString::new(command).unwrap();
        // SAFETY: a text that ends in a zero byte.
        assert_eq!(unsafe { system(command.as_ptr()) }, 0);
    }

    pub fn by_popen(command: &str) {
        let command = CString::new(command).unwrap();
        // SAFETY: texts that end in a zero byte.
        assert!(!unsafe { popen(command.as_ptr(), c"r".as_ptr()) }.is_null());
    }

    /// In the child that a fork has made: without `exec`, nothing else closes the pipes of tests
    /// beside this one.
    pub fn close_all() {
        // SAFETY: the child uses none of them.
        unsafe { close_range(3, u32::MAX, 0) };
    }

    /// By the kernel's own call.
    pub fn fork_by_number() -> bool {
        const CLONE: std::ffi::c_long = if cfg!(target_arch = "x86_64") { 56 } else { 220 };
        const SIGCHLD: u64 = 17;
        // SAFETY: the child makes system calls only.
        unsafe { syscall(CLONE, SIGCHLD, 0u64, 0u64, 0u64, 0u64) == 0 }
    }
}
