//! The modules (executable and shared objects) of the process, so that the runner can symbolize
//! addresses.

use core::ffi::{CStr, c_char, c_int, c_void};

use crate::frame::{Frame, Queue};
use crate::{backtrace, kinds, tls_symbol, watch};

/// The loader's `dl_phdr_info`.
#[repr(C)]
struct Module {
    /// The offset from the file's own addresses.
    base: usize,
    name: *const c_char,
    headers: *const Header,
    count: u16,
    loads: u64,
    unloads: u64,
    storage_index: usize,
    /// The calling thread's copy of its thread-local storage; null if it has none.
    storage: usize,
}

/// A 64-bit program header.
#[repr(C)]
struct Header {
    kind: u32,
    flags: u32,
    offset: usize,
    address: usize,
    physical: usize,
    in_file: usize,
    length: usize,
    alignment: usize,
}

unsafe extern "C" {
    fn dl_iterate_phdr(
        visit: extern "C" fn(*const Module, usize, *mut c_void) -> c_int,
        with: *mut c_void,
    ) -> c_int;
}

/// Reports all modules that are loaded now. Only for the constructor: the loader takes its lock.
pub fn report_all() {
    let mut queue = Queue::EMPTY;
    // SAFETY: `report` keeps no pointer.
    unsafe { dl_iterate_phdr(report, (&raw mut queue).cast()) };
    queue.flush();
}

extern "C" fn report(module: *const Module, _size: usize, with: *mut c_void) -> c_int {
    // SAFETY: the loader passes a module, its headers and its name, valid during this call.
    let (module, headers, name) = unsafe {
        let module = &*module;
        let headers = core::slice::from_raw_parts(module.headers, usize::from(module.count));
        (module, headers, CStr::from_ptr(module.name).to_bytes())
    };
    if name.is_empty() {
        watch::loaded_at(module.base);
    }
    // The executable, which comes first and has no name.
    if name.is_empty() && module.storage != 0 && !tls_symbol::has_storage() {
        tls_symbol::set_storage(module.storage);
    }
    if let Some((start, end)) = code(module.base, headers) {
        if (start..end).contains(&(report as *const () as usize)) {
            backtrace::leave_out(start, end);
        }
        let frame =
            Frame::new(kinds::MODULE).u64(module.base as u64).u64(start as u64).u64(end as u64);
        // SAFETY: `report_all` passes its queue, which nothing else uses meanwhile.
        let queue = unsafe { &mut *with.cast::<Queue>() };
        frame.send_or_wait(queue, name.get(..3000).unwrap_or(name));
    }
    0
}

/// The address range of the module's executable segments.
fn code(base: usize, headers: &[Header]) -> Option<(usize, usize)> {
    const LOADED: u32 = 1;
    const EXECUTABLE: u32 = 1;
    let mut parts =
        headers.iter().filter(|header| header.kind == LOADED && header.flags & EXECUTABLE != 0);
    let first = parts.next()?;
    let last = parts.next_back().unwrap_or(first);
    Some((base + first.address, base + last.address + last.length))
}
