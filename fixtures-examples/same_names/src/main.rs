fn line() -> String {
    format!("{}\n", same_names::greeting("world"))
}

fn main() {
    print!("{}", line());
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn ends() {
        assert!(line().ends_with('\n'));
    }

    #[test]
    fn starts() {
        assert!(line().starts_with(if cfg!(feature = "broken") {
            "Good day"
        } else {
            "Hello"
        }));
    }
}
