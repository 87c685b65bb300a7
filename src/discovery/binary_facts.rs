//! What expressions can ask about a binary.

use crate::cargo::binary::Binary;
use crate::filterset::compile::binary_id;
use crate::filterset::evaluate::BinaryFacts;
use crate::filterset::expression::Platform;
use crate::filterset::filters::Filtersets;

/// What is known about a binary, without what earlier runs have shown.
pub fn facts<'b>(binary: &'b Binary, filtersets: &Filtersets) -> BinaryFacts<'b> {
    let mut facts = BinaryFacts {
        package: binary.package,
        target: &binary.target,
        crate_name: &binary.name,
        prefixes: binary.prefixes().collect(),
        kind: match binary.kind {
            "rlib" | "dylib" | "cdylib" | "staticlib" => "lib",
            kind => kind,
        },
        id: binary_id(&binary.package_name, binary.kind, &binary.target),
        platform: match binary.kind {
            // Whatever the target, the compiler loads it.
            "proc-macro" => Platform::Host,
            _ => Platform::Target,
        },
        has_failures: true,
        default: None,
    };
    facts.default = filtersets.decide_default(&facts);
    facts
}

/// Whether no test of the binary can be chosen.
pub fn is_excluded(binary: &Binary, filtersets: &Filtersets) -> bool {
    filtersets.decide(&facts(binary, filtersets)) == Some(false)
}
