//! It reports by its exit code only.

use std::process::ExitCode;

fn main() -> ExitCode {
    ignores_arguments::log("strict", &std::process::id().to_string());
    let allowed = if cfg!(feature = "broken") { 3 } else { 30 };
    let weight = ignores_arguments::weigh("an encyclopedia");
    if weight > allowed {
        eprintln!("too heavy: {weight}, where {allowed} is allowed");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
