//! Tests that change the working directory or the environment of their process, and others that
//! rely on theirs.
//!
//! Under `cargo partest` `isolate = true` gives every test a process of its own: all five pass. In
//! one process, as with `cargo test -- --test-threads=1`, those that come later fail.

#[cfg(test)]
mod tests {
    use std::{env, fs};

    #[test]
    fn a_moves_to_the_sources() {
        env::set_current_dir("src").unwrap();
        assert!(fs::exists("lib.rs").unwrap());
    }

    #[test]
    fn b_speaks_french() {
        // Sound in a process of its own only, where no other thread reads the environment.
        unsafe { env::set_var("SHOP_LANGUAGE", "fr") };
        assert_eq!(env::var("SHOP_LANGUAGE").as_deref(), Ok("fr"));
    }

    #[test]
    fn c_reads_the_manifest() {
        let manifest = fs::read_to_string("Cargo.toml").unwrap();
        assert!(manifest.contains("changes_directory"));
    }

    #[test]
    fn d_has_no_language() {
        assert_eq!(env::var_os("SHOP_LANGUAGE"), None);
    }

    #[test]
    fn e_moves_to_the_sources_too() {
        env::set_current_dir("src").unwrap();
        assert!(fs::exists("lib.rs").unwrap());
    }
}
