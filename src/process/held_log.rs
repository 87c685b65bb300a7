//! The log of a harness that prints and logs in one thread, held until all output that was written
//! before it is read: so it is known which test has printed what.

use super::event::Stream;

/// What was read of the log, and how much may be read of each stream before it is told. A process
/// that keeps printing does not hold it up: what was written before it fits into the pipes.
#[derive(Debug, Default)]
pub struct HeldLog {
    log: Option<Vec<u8>>,
    stdout: usize,
    stderr: usize,
    /// Whether something was printed since the log was read last.
    has_output: bool,
}

impl HeldLog {
    /// Holds a part of the log until so much of each stream was read, if there is so much.
    pub fn hold(&mut self, log: &[u8], limit: usize) {
        let log = Some(log.to_vec());
        *self = HeldLog { log, stdout: limit, stderr: limit, has_output: false };
    }

    /// Something was printed.
    pub fn note_output(&mut self) {
        self.has_output = true;
    }

    /// The log says nothing new. Returns whether something was printed before.
    pub fn is_silent(&mut self) -> bool {
        std::mem::take(&mut self.has_output)
    }

    pub fn is_held(&self) -> bool {
        self.log.is_some()
    }

    pub fn take(&mut self) -> Option<Vec<u8>> {
        self.log.take()
    }

    /// How much of a stream may still be read before.
    pub fn limit(&mut self, stream: Stream) -> Option<&mut usize> {
        match stream {
            Stream::Stdout => Some(&mut self.stdout),
            Stream::Stderr => Some(&mut self.stderr),
            Stream::Channel => None,
        }
    }
}
