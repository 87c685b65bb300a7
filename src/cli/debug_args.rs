//! The flags that hand one test to a program which watches it, as typed.

use clap::Args as ClapArgs;

#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Running")]
pub struct DebugArgs {
    /// Run one test under this debugger, in the terminal and without a time limit: "gdb --args"
    #[arg(
        long,
        value_name = "COMMAND",
        global = true,
        hide_short_help = true,
        conflicts_with = "no_run",
        value_parser = parse
    )]
    pub debugger: Option<Prefix>,
    /// Run one test under this system call tracer, likewise: "strace -f"
    #[arg(
        long,
        value_name = "COMMAND",
        global = true,
        hide_short_help = true,
        conflicts_with_all = ["debugger", "no_run"],
        value_parser = parse
    )]
    pub tracer: Option<Prefix>,
}

/// The program and the arguments that a test's own command line follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    pub program: String,
    pub args: Vec<String>,
}

impl DebugArgs {
    pub fn prefix(self) -> Option<Prefix> {
        self.debugger.or(self.tracer)
    }
}

/// Words as a shell would part them.
fn parse(text: &str) -> Result<Prefix, String> {
    let mut words = shell_words::split(text).map_err(|error| error.to_string())?.into_iter();
    let program = words.next().ok_or("expected a command, such as \"gdb --args\"")?;
    Ok(Prefix { program, args: words.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        let parsed = parse("gdb -ex 'break main' --args").unwrap();
        assert_eq!(
            (&*parsed.program, parsed.args.join("|")),
            ("gdb", "-ex|break main|--args".into())
        );
        assert_eq!(parse("gdb 'open").unwrap_err(), "missing closing quote");
        assert!(parse(" ").unwrap_err().starts_with("expected a command"));
    }
}
