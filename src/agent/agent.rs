//! The agent: a library inside a test binary that reports to the runner what happens there.
//!
//! This folder is no module of the command: `build.rs` compiles it to a shared object of its own.
//!
//! It is preloaded (`LD_PRELOAD`) and interposes functions of libc and of the unwinder. The wire
//! protocol is documented where the runner decodes it, in `frames.rs`. For every function here:
//!
//! - It allocates nothing, takes no lock of the process and preserves `errno`. The exceptions are
//!   the constructor and the destructor, which run when no other code can be in their way.
//! - Without a channel (no runner, a forked child, a broken pipe) it forwards calls unchanged.
//! - It leaves no frame on a stack that is unwound.
//!
//! One process of a binary is only a fork server, from which workers are forked
//! (`fork_server.rs`).
//!
//! For glibc on x86-64 and aarch64 only: it knows their struct layouts and registers.
#![no_std]

use core::ffi::{c_char, c_int};

mod backtrace;
mod capture;
mod channel;
mod descriptors;
mod endpoints;
mod environment;
mod events;
mod files;
mod fork_request;
mod fork_server;
mod frame;
mod gate;
#[allow(dead_code, reason = "the runner uses the rest")]
mod gate_page;
mod getenv;
mod kinds;
mod libtest;
mod modules;
mod output;
mod panic_catch;
mod panics;
mod process_exit;
mod process_state;
mod processes;
mod real;
mod records;
mod signal_stacks;
mod signals;
mod syscalls;
mod test_mark;
mod threads;
mod tls_symbol;
#[allow(dead_code, reason = "the runner uses the rest")]
mod use_log;
mod uses;
mod watch;
#[allow(dead_code, reason = "the runner uses the rest")]
mod watch_list;
mod watch_process;

use environment::Given;

/// Runs before the executable's own constructors, and so before any of its Rust code.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn(c_int, *const *const c_char) = constructor;

#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = process_exit::destructor;

extern "C" fn constructor(count: c_int, arguments: *const *const c_char) {
    // SAFETY: the loader runs constructors one after another, before there are threads.
    let Some(given) = (unsafe { environment::clean() }) else { return };
    // Done here, so that the runner needs no code between fork and exec, and can spawn workers in a
    // cheaper way than by `fork`.
    syscalls::die_with_parent();
    real::find_all();
    if !records::prepare() || !threads::prepare() {
        return;
    }
    match given {
        Given::Channel(channel) => begin_worker(channel, count, arguments),
        Given::Requests(requests) => fork_server::prepare(requests),
    }
}

/// Makes the process a worker, which reports to the runner.
fn begin_worker(given: c_int, count: c_int, arguments: *const *const c_char) {
    if syscalls::has_hung_up(given) {
        // The runner died before we asked to be killed with it.
        syscalls::exit(1);
    }
    if !channel::open(given) {
        return;
    }
    free(given);
    test_mark::take_off();
    frame::Frame::new(kinds::HELLO)
        .u32(kinds::VERSION)
        .u32(syscalls::process())
        .u32(signals::ASKS_FOR_STACKS as u32)
        .send();
    modules::report_all();
    output::prepare();
    signals::prepare();
    // SAFETY: what the loader passed, or what a prepared process has laid out instead.
    unsafe { environment::read_arguments(count, arguments) };
}

/// Frees the low descriptor. The runner passes the channel as standard input, because that needs no
/// unsafe code; the input of a test is empty anyway.
fn free(given: c_int) {
    if given == 0 {
        empty_input();
    } else {
        syscalls::close(given);
    }
}

fn empty_input() {
    syscalls::close(0);
    syscalls::open(c"/dev/null", true);
}

/// Kills the process immediately.
fn stop() -> ! {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: an invalid instruction; nothing comes after it.
    unsafe {
        core::arch::asm!("ud2", options(noreturn))
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: an invalid instruction; nothing comes after it.
    unsafe {
        core::arch::asm!("udf #0", options(noreturn))
    }
}

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    stop()
}

// `core` was compiled with unwinding and refers to the personality function of panics, which this
// object never uses. Hidden, so that it does not replace the test binary's own.
#[cfg(target_arch = "x86_64")]
macro_rules! trap {
    () => {
        "ud2"
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! trap {
    () => {
        "udf #0"
    };
}
core::arch::global_asm!(
    ".pushsection .text.rust_eh_personality,\"ax\",%progbits",
    ".hidden rust_eh_personality",
    ".globl rust_eh_personality",
    ".type rust_eh_personality,%function",
    "rust_eh_personality:",
    trap!(),
    ".popsection",
);
