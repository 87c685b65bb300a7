//! The types of statics, as the debug information of an executable has them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use super::variables;

/// The types of an executable's statics, read when one is first asked for.
#[derive(Debug)]
pub struct StaticTypes {
    executable: PathBuf,
    by_address: OnceLock<HashMap<u64, String>>,
}

impl StaticTypes {
    pub fn new(executable: PathBuf) -> StaticTypes {
        StaticTypes { executable, by_address: OnceLock::new() }
    }

    /// The name of the type without its path and parameters, such as `Mutex`; none where there is
    /// no debug information about it.
    pub fn of(&self, address: u64) -> Option<&str> {
        let by_address = self.by_address.get_or_init(|| {
            let mut types = HashMap::new();
            variables::each(&self.executable, &[], |variable| {
                let name = String::from_utf8_lossy(variable.type_name);
                let name = name.split('<').next().unwrap_or_default();
                if !name.is_empty() {
                    types.insert(variable.address, name.to_owned());
                }
            });
            types
        });
        by_address.get(&address).map(String::as_str)
    }

    /// Of some addresses.
    #[cfg(test)]
    pub fn known(types: &[(u64, &str)]) -> StaticTypes {
        let types = types.iter().map(|(address, name)| (*address, (*name).to_owned()));
        let by_address = OnceLock::from(types.collect::<HashMap<_, _>>());
        StaticTypes { executable: PathBuf::new(), by_address }
    }
}
