//! How the streams of a supervised process are read, and in which order.

use std::io::{self, Read};
use std::time::Instant;

use super::event::Stream;
use super::held_log::HeldLog;
use super::log_path::{HEAD_AT_ONCE, LogPath};
use super::supervised::{PIPE_CAPACITY, Supervised};

impl Supervised<'_> {
    pub(super) fn read(
        &mut self,
        readable: &[usize],
        is_late: bool,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Option<Stream>> {
        buffer.clear();
        let is_log = |at: &usize| self.sources[*at].stream == Stream::Channel;
        if !readable.iter().any(is_log) && self.held_log.as_mut().is_some_and(HeldLog::is_silent) {
            // What was printed so far came before anything that the log says later.
            return Ok(Some(Stream::Channel));
        }
        let awaits_head =
            cfg!(target_os = "linux") && self.log_path.as_ref().is_some_and(LogPath::is_open);
        for at in self.in_order(readable, awaits_head) {
            let source = &mut self.sources[at];
            let is_head = awaits_head && source.stream == Stream::Stdout;
            let limit = match (self.has_exited, is_late) {
                (true, _) => source.allowance,
                (false, true) if source.before == 0 => continue,
                (false, true) => source.before,
                (false, false) if is_head => HEAD_AT_ONCE,
                (false, false) => PIPE_CAPACITY,
            };
            let limit = limit.min(PIPE_CAPACITY);
            match source.file.read(&mut self.room[..limit]) {
                Ok(0) => {
                    let ended = self.sources.remove(at);
                    self.note_end(ended.stream);
                    // The indices behind it have changed; the next poll finds the sources again.
                    break;
                }
                Ok(count) => {
                    buffer.extend_from_slice(&self.room[..count]);
                    self.trickled = (count < PIPE_CAPACITY / 2 && !is_head).then(Instant::now);
                    if self.has_exited {
                        source.allowance -= count;
                    }
                    source.before = source.before.saturating_sub(count);
                    let stream = source.stream;
                    if is_head {
                        self.hear_head(buffer);
                    }
                    match (&mut self.held_log, stream) {
                        (None, _) => {}
                        (Some(log), Stream::Channel) => {
                            log.hold(buffer, PIPE_CAPACITY);
                            return self.read_before_log(buffer);
                        }
                        (Some(log), _) => log.note_output(),
                    }
                    return Ok(Some(stream));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => source.before = 0,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The channel is read first, except before the header of libtest's report: from then on no
    /// process but the worker may open the channel.
    fn in_order(&self, readable: &[usize], awaits_head: bool) -> Vec<usize> {
        let mut readable = readable.to_vec();
        if awaits_head {
            readable.sort_by_key(|at| self.sources[*at].stream != Stream::Stdout);
        }
        readable
    }

    /// The output before the part of the log that is held, and then that; none if nothing is.
    pub(super) fn read_before_log(&mut self, buffer: &mut Vec<u8>) -> io::Result<Option<Stream>> {
        let Some(held) = self.held_log.as_mut().filter(|held| held.is_held()) else {
            return Ok(None);
        };
        buffer.clear();
        for source in &mut self.sources {
            let Some(limit) = held.limit(source.stream).filter(|limit| **limit > 0) else {
                continue;
            };
            let most = (*limit).min(self.room.len());
            match source.file.read(&mut self.room[..most]) {
                Ok(count @ 1..) => {
                    *limit -= count;
                    buffer.extend_from_slice(&self.room[..count]);
                    return Ok(Some(source.stream));
                }
                // The end of a stream is noticed later.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buffer.extend(held.take().unwrap_or_default());
        Ok(Some(Stream::Channel))
    }
}
