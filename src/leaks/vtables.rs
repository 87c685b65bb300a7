//! Which tables of methods are those of a text, as the debug information of an executable says.

use std::collections::HashSet;
use std::path::Path;

use super::variables;

/// The compiler's names of the tables by which texts are known as `dyn Any`.
const OF_TEXTS: [&[u8]; 2] =
    [b"<&str as core::any::Any>::{vtable}", b"<alloc::string::String as core::any::Any>::{vtable}"];

/// Their addresses in the file. None where there is no debug information about them, as about
/// those of the standard library itself.
pub fn of_texts(executable: &Path) -> HashSet<u64> {
    let mut found = HashSet::new();
    variables::each(executable, &OF_TEXTS, |variable| {
        if OF_TEXTS.contains(&variable.name) {
            found.insert(variable.address);
        }
    });
    found
}
