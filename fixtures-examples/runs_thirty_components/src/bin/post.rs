//! `post` opens all offices, each as a process, says where they are, and closes them at the end of
//! its standard input. `post NUMBER` is one of them.

use std::io::Read;
use std::net::TcpListener;

use runs_thirty_components::office;
use runs_thirty_components::system::System;

fn main() -> std::io::Result<()> {
    match std::env::args()
        .nth(1)
        .and_then(|number| number.parse().ok())
    {
        Some(number) => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            println!("{}", listener.local_addr()?);
            office::serve(number, listener)
        }
        None => all(),
    }
}

fn all() -> std::io::Result<()> {
    let system = System::of_processes()?;
    let addresses: Vec<String> = system.addresses().iter().map(|at| at.to_string()).collect();
    println!("open at {}", addresses.join(","));
    // The end of the input is how the runner says that it is over.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
