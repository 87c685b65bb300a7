fn main() {
    environment::record("recorder");
}

#[cfg(test)]
mod tests {
    #[test]
    fn of_the_program() {
        assert_eq!(std::env::var_os("CARGO_BIN_EXE_recorder"), None);
        environment::record("recorder");
    }
}
