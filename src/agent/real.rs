//! The real functions behind those that the agent interposes: the next definitions in the loader's
//! search order.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub const EFAULT: c_int = 14;
pub const ENOSYS: c_int = 38;

#[link(name = "c")]
#[link(name = "dl")]
unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn __errno_location() -> *mut c_int;
}

/// A function's address, looked up once. In a race it may be looked up twice, which is harmless.
fn find(known: &AtomicUsize, name: &CStr) -> usize {
    const RTLD_NEXT: *mut c_void = -1_isize as *mut c_void;
    match known.load(Relaxed) {
        0 => {
            // SAFETY: `name` ends in a zero byte.
            let found = unsafe { dlsym(RTLD_NEXT, name.as_ptr()) } as usize;
            known.store(found, Relaxed);
            found
        }
        found => found,
    }
}

/// For each function, `name()` returns the next definition, if there is one.
macro_rules! next_definitions {
    ($($name:ident: fn($($argument:ty),*) $(-> $answer:ty)?;)*) => {
        $(
            #[allow(non_snake_case)]
            pub fn $name() -> Option<unsafe extern "C" fn($($argument),*) $(-> $answer)?> {
                static KNOWN: AtomicUsize = AtomicUsize::new(0);
                let name = concat!(stringify!($name), "\0");
                let name = CStr::from_bytes_with_nul(name.as_bytes()).unwrap_or_default();
                // SAFETY: zero is `None`; anything else is libc's or libgcc's function of that
                // name, whose signature the list below repeats.
                unsafe { core::mem::transmute(find(&KNOWN, name)) }
            }
        )*

        /// Looks all of them up, so that no interposed function has to call the loader later.
        pub fn find_all() {
            $($name();)*
        }
    };
}

pub type Start = unsafe extern "C" fn(*mut c_void) -> *mut c_void;
pub type Visit = extern "C" fn(*mut c_void, *mut c_void) -> c_int;

next_definitions! {
    __libc_start_main: fn();
    getenv: fn(*const c_char) -> *mut c_char;
    setenv: fn(*const c_char, *const c_char, c_int) -> c_int;
    unsetenv: fn(*const c_char) -> c_int;
    putenv: fn(*mut c_char) -> c_int;
    chdir: fn(*const c_char) -> c_int;
    fchdir: fn(c_int) -> c_int;
    open: fn(Text, c_int, c_uint) -> c_int;
    openat: fn(c_int, Text, c_int, c_uint) -> c_int;
    open64: fn(Text, c_int, c_uint) -> c_int;
    openat64: fn(c_int, Text, c_int, c_uint) -> c_int;
    fopen: fn(Text, Text) -> *mut c_void;
    fopen64: fn(Text, Text) -> *mut c_void;
    creat: fn(Text, c_uint) -> c_int;
    creat64: fn(Text, c_uint) -> c_int;
    truncate: fn(Text, i64) -> c_int;
    truncate64: fn(Text, i64) -> c_int;
    mkdir: fn(Text, c_uint) -> c_int;
    mkdirat: fn(c_int, Text, c_uint) -> c_int;
    mkfifo: fn(Text, c_uint) -> c_int;
    rmdir: fn(Text) -> c_int;
    unlink: fn(Text) -> c_int;
    unlinkat: fn(c_int, Text, c_int) -> c_int;
    rename: fn(Text, Text) -> c_int;
    renameat: fn(c_int, Text, c_int, Text) -> c_int;
    renameat2: fn(c_int, Text, c_int, Text, c_uint) -> c_int;
    link: fn(Text, Text) -> c_int;
    linkat: fn(c_int, Text, c_int, Text, c_int) -> c_int;
    symlink: fn(Text, Text) -> c_int;
    symlinkat: fn(Text, c_int, Text) -> c_int;
    bind: fn(c_int, *const c_void, c_uint) -> c_int;
    shm_open: fn(Text, c_int, c_uint) -> c_int;
    shm_unlink: fn(Text) -> c_int;
    sem_open: fn(Text, c_int, c_uint, c_uint) -> *mut c_void;
    sem_unlink: fn(Text) -> c_int;
    flock: fn(c_int, c_int) -> c_int;
    fcntl: fn(c_int, c_int, usize) -> c_int;
    fcntl64: fn(c_int, c_int, usize) -> c_int;
    write: fn(c_int, *const c_void, usize) -> isize;
    writev: fn(c_int, *const Vector, c_int) -> isize;
    close: fn(c_int) -> c_int;
    dup2: fn(c_int, c_int) -> c_int;
    dup3: fn(c_int, c_int, c_int) -> c_int;
    pthread_create: fn(*mut usize, *const c_void, Start, *mut c_void) -> c_int;
    pthread_join: fn(usize, *mut *mut c_void) -> c_int;
    pthread_tryjoin_np: fn(usize, *mut *mut c_void) -> c_int;
    pthread_timedjoin_np: fn(usize, *mut *mut c_void, *const c_void) -> c_int;
    pthread_clockjoin_np: fn(usize, *mut *mut c_void, c_int, *const c_void) -> c_int;
    pthread_detach: fn(usize) -> c_int;
    fork: fn() -> c_int;
    forkpty: fn(*mut c_int, *mut c_char, *const c_void, *const c_void) -> c_int;
    system: fn(Text) -> c_int;
    popen: fn(Text, Text) -> *mut c_void;
    posix_spawn: fn(*mut c_int, Text, *const c_void, *const c_void, Texts, Texts) -> c_int;
    posix_spawnp: fn(*mut c_int, Text, *const c_void, *const c_void, Texts, Texts) -> c_int;
    wait: fn(*mut c_int) -> c_int;
    waitpid: fn(c_int, *mut c_int, c_int) -> c_int;
    wait3: fn(*mut c_int, c_int, *mut c_void) -> c_int;
    wait4: fn(c_int, *mut c_int, c_int, *mut c_void) -> c_int;
    waitid: fn(c_int, u32, *mut c_int, c_int) -> c_int;
    exit: fn(c_int);
    _exit: fn(c_int);
    quick_exit: fn(c_int);
    kill: fn(c_int, c_int) -> c_int;
    sigaction: fn(c_int, *const c_void, *mut c_void) -> c_int;
    _Unwind_Backtrace: fn(Visit, *mut c_void) -> c_int;
    _Unwind_GetIPInfo: fn(*mut c_void, *mut c_int) -> usize;
    _Unwind_GetCFA: fn(*mut c_void) -> usize;
    _Unwind_GetGR: fn(*mut c_void, c_int) -> usize;
    _Unwind_GetLanguageSpecificData: fn(*mut c_void) -> usize;
    _Unwind_GetRegionStart: fn(*mut c_void) -> usize;
    _Unwind_SetIP: fn(*mut c_void, usize);
    _Unwind_RaiseException: fn(*mut c_void) -> c_int;
}

pub type Text = *const c_char;
pub type Texts = *const *mut c_char;

/// A piece of a `writev`.
#[repr(C)]
pub struct Vector {
    pub address: *const c_void,
    pub length: usize,
}

pub fn errno() -> c_int {
    // SAFETY: the address of the calling thread's `errno`.
    unsafe { *__errno_location() }
}

pub fn set_errno(number: c_int) {
    // SAFETY: the address of the calling thread's `errno`.
    unsafe { *__errno_location() = number };
}

/// Sets `errno`, and returns what a failed call returns.
pub fn fail(number: c_int) -> c_int {
    set_errno(number);
    -1
}
