//! The agent: sits inside a test binary and tells the runner what happens there.
//!
//! It is preloaded (`LD_PRELOAD`) and stands in for functions of libc and of the unwinder. The
//! wire protocol is described where the runner decodes it, in `frames.rs`. What holds for
//! every function here:
//!
//! - It allocates nothing, takes no lock of the process and keeps `errno`. The exceptions are
//!   the constructor and the destructor, which run when nobody can be in their way.
//! - Without a channel (no runner, a forked child, a broken pipe) it passes calls on unchanged.
//! - It has no frame on a stack that is unwound.
//!
//! In one process of a binary it only waits: `prepared.rs` forks workers from that.
//!
//! Glibc on x86-64 and aarch64 only: record layouts and registers are theirs.
#![no_std]

use core::ffi::{c_char, c_int};

mod asked;
mod catches;
mod channel;
mod descriptors;
mod endings;
mod environment;
mod events;
mod frame;
mod getenv;
mod kinds;
mod libtest;
mod marks;
mod modules;
mod output;
mod panics;
mod prepared;
mod processes;
mod real;
mod records;
mod signal_stacks;
mod signals;
mod stacks;
mod surroundings;
mod system;
mod threads;

use environment::Given;

/// Runs before the executable's own constructors, and so before any of its Rust code.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn(c_int, *const *const c_char) = constructor;

#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = endings::destructor;

extern "C" fn constructor(count: c_int, arguments: *const *const c_char) {
    // SAFETY: the loader runs constructors one after another, before there are threads.
    let Some(given) = (unsafe { environment::clean() }) else { return };
    // Done here, the runner needs no code of its own between fork and exec, and its processes
    // are started by a cheaper way than `fork`.
    system::die_with_parent();
    real::find_all();
    if !records::prepare() || !threads::prepare() {
        return;
    }
    match given {
        Given::Channel(channel) => begin_worker(channel, count, arguments),
        Given::Requests(requests) => prepared::prepare(requests),
    }
}

/// From now on the process is a worker, and speaks.
fn begin_worker(given: c_int, count: c_int, arguments: *const *const c_char) {
    if system::has_hung_up(given) {
        // The runner has died before we could be bound to that.
        system::exit(1);
    }
    if !channel::open(given) {
        return;
    }
    free(given);
    marks::take_off();
    frame::Frame::new(kinds::HELLO)
        .u32(kinds::VERSION)
        .u32(system::process())
        .u32(signals::ASKS_FOR_STACKS as u32)
        .send();
    modules::tell_all();
    output::prepare();
    signals::prepare();
    // SAFETY: what the loader passed, or what a prepared process has laid out instead.
    unsafe { environment::read_arguments(count, arguments) };
}

/// Gives the low number back. A runner may hand the channel down as standard input, which
/// safe code can do for a child; a test's input is empty anyway.
fn free(given: c_int) {
    if given == 0 {
        empty_input();
    } else {
        system::close(given);
    }
}

fn empty_input() {
    system::close(0);
    system::open(c"/dev/null", true);
}

/// Ends the process on the spot.
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

// `core` was compiled with unwinding and names the personality function of panics, which this
// object never unwinds by. Hidden, so that the test binary's own is not disturbed.
core::arch::global_asm!(
    ".pushsection .text.rust_eh_personality,\"ax\",%progbits",
    ".hidden rust_eh_personality",
    ".globl rust_eh_personality",
    ".type rust_eh_personality,%function",
    "rust_eh_personality:",
    #[cfg(target_arch = "x86_64")]
    "ud2",
    #[cfg(target_arch = "aarch64")]
    "udf #0",
    ".popsection",
);
