//! The stacks of a process that hung or died, as the runner's notes have them.

use crate::report::human::source::Place;

/// Where the threads of a test were, innermost frames first.
pub fn places<'n>(notes: &'n str, id: &str) -> impl Iterator<Item = Place<'n>> {
    let heading = format!(" of {id}:");
    let below = notes.lines().skip_while(move |line| {
        let is_it = line.starts_with("thread `") && line.ends_with(&heading);
        !is_it
    });
    let frames = below.skip(1).take_while(|line| line.starts_with("  "));
    frames.filter_map(|frame| Place::of_line(frame.rsplit_once(" at ")?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTES: &str = "\
note: in the same process, `a` had changed the current directory
thread `b` of shop::b:
  shop::b at src/b.rs:1

thread `worker` of shop::c:
  std::thread::park at library/std/src/thread/mod.rs:9
  shop::c at src/lib.rs:7
  __libc_start

";

    #[test]
    fn the_frames_of_the_tests_own_threads_have_places() {
        let lines =
            |id| places(NOTES, id).map(|place| (place.path, place.line)).collect::<Vec<_>>();
        assert_eq!(lines("shop::b"), [("src/b.rs", 1)]);
        assert_eq!(lines("shop::c"), [("library/std/src/thread/mod.rs", 9), ("src/lib.rs", 7)]);
        assert_eq!(lines("c"), []);
    }
}
