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
    static SET_UP: Once = Once::new();
    #[test] fn once_is_done() { SET_UP.call_once(|| {}); }
    static REGISTRY: LazyLock<Mutex<Vec<u32>>> = LazyLock::new(Mutex::default);
    #[test] fn lock_in_a_lazy_lock_a_is_read() { assert!(REGISTRY.lock().unwrap().is_empty()); }
    #[test] fn lock_in_a_lazy_lock_b_is_filled() { REGISTRY.lock().unwrap().push(1); }

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
mod orders {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    static OPEN: AtomicU32 = AtomicU32::new(0);
    static OTHER: AtomicU32 = AtomicU32::new(0);

    #[test] fn a_opens() { OPEN.store(2, SeqCst); }
    #[test] fn b_changes_another() { OTHER.store(1, SeqCst); }
    #[test] fn c_restores() { let former = OPEN.swap(0, SeqCst); OPEN.store(former, SeqCst); }
    #[test] #[ignore] fn z_counts_what_is_open() { assert_eq!(OPEN.fetch_add(1, SeqCst), 0); }
}
