//! Asked for its list (`--list --format terse`), it looks for it for ever.

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = |word: &str| arguments.iter().any(|argument| argument == word);
    if asked("--list") {
        let format = if asked("terse") { "terse" } else { "pretty" };
        eprintln!("looking for the {format} list");
        loop {
            std::thread::park();
        }
    }
    println!("\nrunning 1 test");
    assert_eq!(hangs_while_listing::shelf(99), 0);
    println!("test the_first_shelf_is_zero ... ok");
    println!("\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}
