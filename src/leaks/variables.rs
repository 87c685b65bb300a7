//! The variables in the debug information of an executable.

use std::borrow::Cow;
use std::path::Path;

use addr2line::gimli::{self, AttributeValue, EndianSlice, NativeEndian, Operation};
use object::read::{Object, ObjectSection};

/// A variable with an address of its own.
#[derive(Debug, Clone, Copy)]
pub struct Variable<'d> {
    pub name: &'d [u8],
    /// In the file.
    pub address: u64,
    /// Without the path to it: `Mutex<u32>`. Empty if it is not known.
    pub type_name: &'d [u8],
}

type Reader<'d> = EndianSlice<'d, NativeEndian>;

/// Visits all of them, as far as the debug information can be read, if it has one of these words,
/// where any are given.
pub fn each(executable: &Path, words: &[&[u8]], mut visit: impl FnMut(Variable<'_>)) {
    if let Ok(file) = std::fs::read(executable) {
        read(&file, words, &mut visit);
    }
}

fn read(file: &[u8], words: &[&[u8]], visit: &mut dyn FnMut(Variable<'_>)) -> Option<()> {
    let file = object::File::parse(file).ok()?;
    let section = |name: &str| {
        let section = file.section_by_name(name)?;
        section.uncompressed_data().ok()
    };
    let names = section(".debug_str").unwrap_or_default();
    let has = |word: &&[u8]| memchr::memmem::find(&names, word).is_some();
    if !words.is_empty() && !words.iter().any(has) {
        return None;
    }
    let load = |id: gimli::SectionId| -> gimli::Result<Cow<'_, [u8]>> {
        Ok(section(id.name()).unwrap_or_default())
    };
    let sections = gimli::DwarfSections::load(load).ok()?;
    let dwarf = sections.borrow(|section| EndianSlice::new(section, NativeEndian));
    let mut headers = dwarf.units();
    while let Some(header) = headers.next().ok()? {
        if let Ok(unit) = dwarf.unit(header) {
            each_of_unit(&dwarf, &unit, visit);
        }
    }
    Some(())
}

/// Ends with what cannot be read.
fn each_of_unit<'d>(
    dwarf: &gimli::Dwarf<Reader<'d>>,
    unit: &gimli::Unit<Reader<'d>>,
    visit: &mut dyn FnMut(Variable<'_>),
) {
    let name_of = |entry: &gimli::DebuggingInformationEntry<Reader<'d>>| -> Option<&'d [u8]> {
        let name = entry.attr_value(gimli::DW_AT_name)?;
        dwarf.attr_string(unit, name).ok().map(|name| name.slice())
    };
    let mut entries = unit.entries();
    while let Ok(Some(entry)) = entries.next_dfs() {
        if entry.tag() != gimli::DW_TAG_variable {
            continue;
        }
        let address = entry.attr_value(gimli::DW_AT_location).and_then(|at| address(unit, at));
        let Some(address) = address else { continue };
        let of_type = match entry.attr_value(gimli::DW_AT_type) {
            Some(AttributeValue::UnitRef(offset)) => unit.entry(offset).ok(),
            _ => None,
        };
        let type_name = of_type.as_ref().and_then(name_of).unwrap_or_default();
        visit(Variable { name: name_of(entry).unwrap_or_default(), address, type_name });
    }
}

fn address(unit: &gimli::Unit<Reader<'_>>, location: AttributeValue<Reader<'_>>) -> Option<u64> {
    let expression = location.exprloc_value()?;
    match expression.operations(unit.encoding()).next().ok()?? {
        Operation::Address { address } => Some(address),
        _ => None,
    }
}
