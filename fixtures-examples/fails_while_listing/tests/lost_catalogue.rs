//! Asked for its list, in whichever format, it complains and fails.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = |word: &str| arguments.iter().any(|argument| argument == word);
    if asked("--list") {
        let format = if asked("terse") { "terse" } else { "pretty" };
        eprintln!("the {format} list is lost: no file catalogue.txt");
        return ExitCode::FAILURE;
    }
    println!("\nrunning 1 test");
    assert_eq!(fails_while_listing::room(99), 9);
    println!("test the_last_room_is_nine ... ok");
    println!("\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
    ExitCode::SUCCESS
}
