//! What only one test of the package may open at a time.

use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs, process, thread};

/// The open vault: a directory that stands as long as one test is inside.
pub struct Vault(PathBuf);

impl Vault {
    pub fn open() -> Vault {
        let run = env::var("PARTEST_RUN_ID").unwrap_or_else(|_| process::id().to_string());
        let own = env::current_exe().unwrap().with_file_name(format!("vault-{run}"));
        let vault = env::var_os("FIXTURE_LOG").map_or(own, |log| PathBuf::from(log).join("vault"));
        if let Err(error) = fs::create_dir(&vault) {
            panic!("the vault is open already: {error}");
        }
        // Nothing is awaited here: the time only gives others a chance to come in.
        thread::sleep(Duration::from_millis(20));
        Vault(vault)
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
