//! Reading that ends when the user interrupts it.

use std::io::{self, Read};

/// What can be read for as long as it is wanted: some files take minutes.
pub struct WhileWanted<'w, R> {
    pub source: R,
    pub is_wanted: &'w dyn Fn() -> bool,
}

impl<R: Read> Read for WhileWanted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !(self.is_wanted)() {
            // `ErrorKind::Interrupted` would be tried again.
            return Err(io::Error::other("interrupted"));
        }
        self.source.read(buffer)
    }
}
