//! Prints a receipt for the amounts, in cents, that it is called with.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args()
        .skip(1)
        .map(|cents| cents.parse())
        .collect::<Result<Vec<u32>, _>>()
    {
        Ok(cents) => {
            print!("{}", till::receipt(&cents));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("no amount: {error}");
            ExitCode::from(2)
        }
    }
}
