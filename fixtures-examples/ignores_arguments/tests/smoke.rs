//! A smoke test as people write it: no arguments, no names, it ends well or it panics.

fn main() {
    ignores_arguments::log("smoke", &std::process::id().to_string());
    assert_eq!(ignores_arguments::weigh("a book"), 6);
    println!("the scales work");
}
