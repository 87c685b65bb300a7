//! What belongs to a whole process: its working directory, its environment. `isolate = true` gives
//! every test of `isolate` a process of its own, and `env` gives the one of `env` a variable.
//!
//! Under `cargo partest` all of it passes. Under `cargo test` some of these tests fail: they share a
//! process there, and nobody sets the variable.

use std::env::var;

pub fn greeting() -> &'static str {
    match var("SHOP_LANGUAGE").as_deref() {
        Ok("de") => "Guten Tag",
        Ok("fr") => "Bonjour",
        _ => "Good day",
    }
}

pub fn price(amount: u32) -> String {
    format!("{amount} {}", var("SHOP_CURRENCY").unwrap_or_default())
}

#[cfg(test)]
mod isolate {
    use super::greeting;
    use std::{env, fs};

    #[test]
    fn files_are_found_after_a_move() {
        env::set_current_dir("src").unwrap();
        assert!(fs::exists("lib.rs").unwrap());
    }

    #[test]
    fn files_are_found_without_a_move() {
        assert!(fs::exists("Cargo.toml").unwrap());
    }

    #[test]
    fn french_is_spoken() {
        // Sound in a process of its own, where no other thread reads the environment meanwhile.
        unsafe { env::set_var("SHOP_LANGUAGE", "fr") };
        assert_eq!(greeting(), "Bonjour");
    }

    #[test]
    fn german_is_spoken() {
        // Sound for the same reason.
        unsafe { env::set_var("SHOP_LANGUAGE", "de") };
        assert_eq!(greeting(), "Guten Tag");
    }

    #[test]
    fn the_rest_is_english() {
        assert_eq!(greeting(), "Good day");
    }
}

#[cfg(test)]
mod env {
    #[test]
    fn the_currency_follows_the_amount() {
        assert_eq!(super::price(12), "12 EUR");
    }
}
