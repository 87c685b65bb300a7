//! Which tables of methods are those of a text, as the debug information of an executable says.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;

use addr2line::gimli::{self, EndianSlice, NativeEndian, Operation};
use object::read::{Object, ObjectSection};

/// The compiler's names of the tables by which texts are known as `dyn Any`.
const OF_TEXTS: [&[u8]; 2] =
    [b"<&str as core::any::Any>::{vtable}", b"<alloc::string::String as core::any::Any>::{vtable}"];

type Reader<'d> = EndianSlice<'d, NativeEndian>;

/// Their addresses in the file. None where there is no debug information about them, as about
/// those of the standard library itself.
pub fn of_texts(executable: &Path) -> HashSet<u64> {
    let file = std::fs::read(executable).ok();
    file.and_then(|file| read(&file)).unwrap_or_default()
}

fn read(file: &[u8]) -> Option<HashSet<u64>> {
    let file = object::File::parse(file).ok()?;
    let section = |name: &str| {
        let section = file.section_by_name(name)?;
        section.uncompressed_data().ok()
    };
    let names = section(".debug_str").unwrap_or_default();
    if !OF_TEXTS.iter().any(|name| memchr::memmem::find(&names, name).is_some()) {
        return None;
    }
    let load = |id: gimli::SectionId| -> gimli::Result<Cow<'_, [u8]>> {
        Ok(section(id.name()).unwrap_or_default())
    };
    let sections = gimli::DwarfSections::load(load).ok()?;
    let dwarf = sections.borrow(|section| EndianSlice::new(section, NativeEndian));
    let mut found = HashSet::new();
    let mut headers = dwarf.units();
    while let Some(header) = headers.next().ok()? {
        if let Ok(unit) = dwarf.unit(header) {
            add_of_unit(&dwarf, &unit, &mut found);
        }
    }
    Some(found)
}

/// Ends with what cannot be read.
fn add_of_unit(
    dwarf: &gimli::Dwarf<Reader<'_>>,
    unit: &gimli::Unit<Reader<'_>>,
    found: &mut HashSet<u64>,
) {
    let mut entries = unit.entries();
    while let Ok(Some(entry)) = entries.next_dfs() {
        if entry.tag() != gimli::DW_TAG_variable {
            continue;
        }
        let name = entry.attr_value(gimli::DW_AT_name);
        let name = name.and_then(|name| dwarf.attr_string(unit, name).ok());
        if name.is_some_and(|name| OF_TEXTS.contains(&name.slice())) {
            found.extend(entry.attr_value(gimli::DW_AT_location).and_then(|at| address(unit, at)));
        }
    }
}

fn address(
    unit: &gimli::Unit<Reader<'_>>,
    location: gimli::AttributeValue<Reader<'_>>,
) -> Option<u64> {
    let expression = location.exprloc_value()?;
    match expression.operations(unit.encoding()).next().ok()?? {
        Operation::Address { address } => Some(address),
        _ => None,
    }
}
