//! Lists `--list --format terse` for three people. Asked for all, it calls all three; asked for
//! some by name with `--exact`, it never calls `grace`, nor lists her.

use std::process::ExitCode;

const PEOPLE: [&str; 3] = ["ada", "charles", "grace"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = |word: &str| arguments.iter().any(|argument| argument == word);
    let called: Vec<_> = match asked("--exact") {
        true => PEOPLE
            .into_iter()
            .filter(|name| asked(name) && *name != "grace")
            .collect(),
        false => PEOPLE.to_vec(),
    };
    if asked("--list") {
        // Nobody is ignored. The terse list is all that this harness knows.
        for name in called.iter().filter(|_| !asked("--ignored")) {
            println!("{name}: test");
        }
        return match asked("terse") {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(2),
        };
    }
    println!("\nrunning {} tests", called.len());
    for name in &called {
        assert!(ignores_a_name::is_present(name));
        println!("test {name} ... ok");
    }
    println!(
        "\ntest result: ok. {} passed; 0 failed; 0 ignored; 0 measured; {} filtered out",
        called.len(),
        PEOPLE.len() - called.len()
    );
    ExitCode::SUCCESS
}
