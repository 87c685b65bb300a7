//! Tests that leave their process changed, each with a twin that puts right what it has changed, and
//! things that are set once by design.
#![allow(static_mut_refs)]

#[cfg(test)]
mod statics {
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
    use std::sync::{LazyLock, Mutex, Once, OnceLock, RwLock};

    static COUNT: AtomicUsize = AtomicUsize::new(0);
    #[test] fn atomic_changes() { COUNT.fetch_add(1, SeqCst); }
    #[test] fn atomic_is_restored() { COUNT.fetch_add(1, SeqCst); COUNT.fetch_sub(1, SeqCst); }

    static FLAG: AtomicBool = AtomicBool::new(true);
    #[test] fn flag_changes() { FLAG.store(false, SeqCst); }
    #[test] fn flag_is_restored() { FLAG.fetch_xor(true, SeqCst); FLAG.fetch_xor(true, SeqCst); }

    static mut LEVEL: i32 = -1;
    #[test] fn mutable_changes() { unsafe { LEVEL = 2 } }
    #[test] fn mutable_is_restored() { unsafe { let former = LEVEL; LEVEL = 9; LEVEL = former } }

    static mut TABLE: [u64; 4096] = [0; 4096];
    #[test] fn table_changes_far_behind() { unsafe { TABLE[4000] = 1 } }
    #[test] fn table_is_restored() { unsafe { TABLE[3000] = 1; TABLE[3000] = 0 } }

    static LOG: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    #[test] fn vector_a_is_filled_and_cleared() {
        let mut log = LOG.lock().unwrap(); log.push(1); log.clear();
    }
    #[test] fn vector_b_grows() { LOG.lock().unwrap().push(7); }
    #[test] fn vector_c_is_restored() { let mut log = LOG.lock().unwrap(); log.push(1); log.pop(); }

    static TOTAL: Mutex<u32> = Mutex::new(3);
    #[test] fn number_in_a_mutex_changes() { *TOTAL.lock().unwrap() += 2; }

    static POISONED: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    #[test] fn mutex_is_poisoned() {
        let poison = std::panic::catch_unwind(|| { let _held = POISONED.lock(); panic!("held") });
        assert!(poison.is_err());
    }
    static CLEARED: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    #[test] fn mutex_is_poisoned_and_cleared() {
        let poison = std::panic::catch_unwind(|| { let _held = CLEARED.lock(); panic!("held") });
        assert!(poison.is_err());
        CLEARED.clear_poison();
    }

    static TEXT: RwLock<Option<&'static str>> = RwLock::new(None);
    #[test] fn text_changes() { *TEXT.write().unwrap() = Some("open"); }
    #[test] fn text_is_restored() {
        let former = TEXT.write().unwrap().replace("closed"); *TEXT.write().unwrap() = former;
    }

    #[test] fn static_in_a_function_changes() { assert!(super::visits() > 0); }
    #[test] fn static_of_a_dependency_changes() { till::open(); }
    #[test] fn static_of_a_dependency_is_restored() { till::open(); till::close(); }

    static CONFIG: OnceLock<String> = OnceLock::new();
    #[test] fn once_lock_is_set() { CONFIG.get_or_init(|| "config".to_owned()); }
    static PRICES: LazyLock<HashMap<u32, String>> = LazyLock::new(|| [(1, "one".into())].into());
    #[test] fn lazy_lock_is_read() { assert_eq!(PRICES.len(), 1); }
    static LARGE: LazyLock<[u64; 512]> = LazyLock::new(|| [7; 512]);
    #[test] fn large_lazy_lock_is_read() { assert_eq!(LARGE[511], 7); }
    static SET_UP: Once = Once::new();
    #[test] fn once_is_done() { SET_UP.call_once(|| {}); }
    static REGISTRY: LazyLock<Mutex<Vec<u32>>> = LazyLock::new(Mutex::default);
    #[test] fn lock_in_a_lazy_lock_a_is_read() { drop(REGISTRY.lock().unwrap()); }
    #[test] fn lock_in_a_lazy_lock_b_is_filled() { REGISTRY.lock().unwrap().push(1); }

    static CELL: till::OnceCell = till::OnceCell::new();
    #[test] fn once_cell_of_a_crate_is_set() { CELL.set(5); }
    static LEFT: AtomicUsize = AtomicUsize::new(3);
    #[test] fn countdown_ends() { LEFT.store(0, SeqCst); }
    static GUARDED: RwLock<u64> = RwLock::new(0);
    #[test] fn rw_lock_is_poisoned() {
        let poison = std::panic::catch_unwind(|| { let _held = GUARDED.write(); panic!("held") });
        assert!(poison.is_err());
    }

    thread_local! { static OWN: std::cell::Cell<u32> = const { std::cell::Cell::new(0) } }
    #[test] fn thread_local_is_set() { OWN.set(OWN.get() + 1); }
    #[test] fn nothing_is_changed() { println!("{:?}", std::time::Instant::now()); }
}

#[cfg(test)]
fn visits() -> usize {
    static VISITS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    VISITS.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1
}

#[cfg(test)]
mod surroundings {
    use std::env;

    #[test] fn directory_changes() { env::set_current_dir("/").unwrap(); }
    #[test] fn directory_is_restored() {
        let former = env::current_dir().unwrap();
        env::set_current_dir("/usr").unwrap();
        env::set_current_dir(former).unwrap();
    }
    #[test] fn variable_is_set() { unsafe { env::set_var("SHOP_DOOR", "open") } }
    #[test] fn variable_is_removed() { unsafe { env::remove_var("SHOP_GIVEN") } }
    #[test] fn variable_is_replaced() { unsafe { env::set_var("SHOP_SECRET", "other") } }
    #[test] fn variable_is_restored() {
        unsafe { env::set_var("SHOP_TILL", "1"); env::remove_var("SHOP_TILL") }
    }
}

#[cfg(test)]
mod process {
    use std::ffi::{CStr, c_char, c_int, c_uint};
    use std::os::fd::IntoRawFd;

    unsafe extern "C" {
        fn umask(mask: c_uint) -> c_uint;
        fn sigaction(signal: c_int, new: *const [u64; 32], old: *mut [u64; 32]) -> c_int;
        fn signal(signal: c_int, handler: usize) -> usize;
        fn getrlimit(resource: c_int, limit: *mut [u64; 2]) -> c_int;
        fn setrlimit(resource: c_int, limit: *const [u64; 2]) -> c_int;
        fn setitimer(which: c_int, new: *const [i64; 4], old: *mut [i64; 4]) -> c_int;
        fn setlocale(category: c_int, name: *const c_char) -> *const c_char;
        fn dup(descriptor: c_int) -> c_int;
        fn close(descriptor: c_int) -> c_int;
    }
    const SIGUSR1: c_int = 10;
    const SIGSEGV: c_int = 11;
    const RLIMIT_CORE: c_int = 4;
    const ITIMER_VIRTUAL: c_int = 1;
    const LC_ALL: c_int = 6;

    extern "C" fn handles(_: c_int) {}
    fn handler() -> usize { handles as extern "C" fn(c_int) as usize }

    #[test] fn umask_a_is_restored() { unsafe { let former = umask(0o77); umask(former); } }
    #[test] fn umask_b_changes() { unsafe { umask(0o27); } }
    #[test] fn handler_a_is_restored() { unsafe { signal(SIGUSR1, handler()); signal(SIGUSR1, 0); } }
    #[test] fn handler_b_changes() { unsafe { signal(SIGUSR1, handler()); } }
    #[test] fn handler_c_of_a_crash_is_restored() {
        let mut former = [0; 32];
        unsafe {
            assert_eq!(sigaction(SIGSEGV, std::ptr::null(), &mut former), 0);
            signal(SIGSEGV, handler());
            assert_eq!(sigaction(SIGSEGV, &former, std::ptr::null_mut()), 0);
        }
    }
    #[test] fn handler_d_of_a_crash_changes() { unsafe { signal(SIGSEGV, 1); } }
    fn lower(by: u64) -> [u64; 2] {
        let mut former = [0; 2];
        unsafe {
            assert_eq!(getrlimit(RLIMIT_CORE, &mut former), 0);
            assert_eq!(setrlimit(RLIMIT_CORE, &[by, former[1]]), 0);
        }
        former
    }
    #[test] fn limit_a_is_restored() { let f = lower(0); assert_eq!(unsafe { setrlimit(RLIMIT_CORE, &f) }, 0) }
    #[test] fn limit_b_changes() { lower(0); }
    fn arm(seconds: i64) { assert_eq!(unsafe { setitimer(ITIMER_VIRTUAL, &[0, 0, seconds, 0], std::ptr::null_mut()) }, 0) }
    #[test] fn timer_a_is_restored() { arm(100_000); arm(0); }
    #[test] fn timer_b_changes() { arm(100_000); }
    #[test] fn locale_a_is_restored() {
        unsafe { setlocale(LC_ALL, c"C.UTF-8".as_ptr()); setlocale(LC_ALL, c"C".as_ptr()); }
    }
    #[test] fn locale_b_changes() {
        let locale = unsafe { setlocale(LC_ALL, c"C.UTF-8".as_ptr()) };
        assert!(!locale.is_null() && unsafe { CStr::from_ptr(locale) } == c"C.UTF-8");
    }
    #[test] fn descriptor_a_is_closed_again() { drop(std::fs::File::open("/dev/zero").unwrap()); }
    #[test] fn descriptor_b_stays_open() { let _left = std::fs::File::open("/dev/zero").unwrap().into_raw_fd(); }
    #[test] fn descriptor_c_is_a_socket() { let _left = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().into_raw_fd(); }
    #[test] fn descriptor_d_was_there_and_is_closed() {
        let zero = |fd: &c_int| std::fs::read_link(format!("/proc/self/fd/{fd}")).is_ok_and(|path| path == std::path::Path::new("/dev/zero"));
        unsafe { close((3..20).find(zero).unwrap()); }
    }
    #[test] fn descriptor_e_is_duplicated_and_closed() { unsafe { close(dup(1)); } }
    #[test] fn panic_hook_a_is_restored() {
        let former = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        std::panic::set_hook(former);
    }
    #[test] fn panic_hook_b_changes() {
        let former = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| former(info)));
    }
    #[test] fn thread_has_come_and_gone() { std::thread::spawn(|| {}).join().unwrap(); }
    #[test] fn child_has_come_and_gone() { std::process::Command::new("true").status().unwrap(); }
}

#[cfg(test)]
mod orders {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    static OPEN: AtomicU32 = AtomicU32::new(0);
    static OTHER: AtomicU32 = AtomicU32::new(0);

    #[test] fn a_opens() { OPEN.store(2, SeqCst); }
    #[test] fn b_changes_another() { OTHER.store(1, SeqCst); }
    #[test] fn c_restores() { let former = OPEN.swap(0, SeqCst); OPEN.store(former, SeqCst); }
    #[test] #[ignore] fn z_counts_what_is_open() { assert_eq!(OPEN.fetch_add(1, SeqCst), 0); }
}
