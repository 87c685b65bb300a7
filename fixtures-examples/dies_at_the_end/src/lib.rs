//! Every test passes, and then the process aborts while it ends, as with a broken destructor of a
//! foreign library.
//!
//! `cargo test` fails for it. Under `cargo partest` two of the three tests pass, and the last
//! is aborted: nobody knows who is to blame for the death, and a run with one in it has not passed.

#[cfg(test)]
mod tests {
    use std::sync::Once;

    unsafe extern "C" {
        fn atexit(last_act: extern "C" fn()) -> i32;
    }

    extern "C" fn crash() {
        eprintln!("the sound library crashes on its way out");
        std::process::abort();
    }

    fn open_the_sound_library() {
        static OPENED: Once = Once::new();
        // Sound: `crash` is a plain function that stays valid to the process's end.
        OPENED.call_once(|| assert_eq!(unsafe { atexit(crash) }, 0));
        assert!(OPENED.is_completed());
    }

    #[test]
    fn plays_a_chord() {
        open_the_sound_library();
    }

    #[test]
    fn plays_a_note() {
        open_the_sound_library();
    }

    #[test]
    fn rests() {
        open_the_sound_library();
    }
}
