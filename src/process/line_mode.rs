//! The settings that make a terminal pass on whole lines and show what is typed: how they are put
//! away for single keys, and back.

use std::os::fd::AsFd;

use rustix::io::Result;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use super::syscalls::SignalMask;

/// What is changed for single keys. Signals of the keyboard (Ctrl-C, Ctrl-Z) stay.
const CHANGED: LocalModes = LocalModes::ICANON.union(LocalModes::ECHO);

/// A read returns what is there, one byte at least, and waits for no more.
const SINGLE: (u8, u8) = (1, 0);

/// What a terminal was set to before it was to pass on single keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineMode {
    local: LocalModes,
    /// Not changed, but programs that read keys, as shells do, change it.
    input: InputModes,
    min: u8,
    time: u8,
}

impl LineMode {
    pub const BYTES: usize = 10;

    /// Has a terminal pass on single keys, and show none of them. `tell` gets what it was set to,
    /// before that is changed.
    pub fn put_away(terminal: impl AsFd, tell: impl FnOnce(LineMode)) -> Result<LineMode> {
        let mut settings = tcgetattr(&terminal)?;
        let former = LineMode::of(&settings);
        tell(former);
        settings.local_modes.remove(CHANGED);
        set_reads(&mut settings, SINGLE);
        change(terminal, &settings)?;
        Ok(former)
    }

    /// Undoes that, unless another program has set the terminal to what it wants since then.
    pub fn put_back_if_untouched(&self, terminal: impl AsFd) {
        let is_untouched = |settings: &Termios| {
            let now = LineMode::of(settings);
            now.local.is_empty() && now.input == self.input && (now.min, now.time) == SINGLE
        };
        if tcgetattr(&terminal).is_ok_and(|settings| is_untouched(&settings)) {
            self.put_back(terminal);
        }
    }

    /// Undoes that, whatever has become of the terminal since then.
    pub fn put_back(&self, terminal: impl AsFd) {
        let Ok(mut settings) = tcgetattr(&terminal) else { return };
        settings.local_modes.remove(CHANGED);
        settings.local_modes.insert(self.local);
        set_reads(&mut settings, (self.min, self.time));
        // If it cannot be set any more, the terminal is gone.
        let _ = change(terminal, &settings);
    }

    fn of(settings: &Termios) -> LineMode {
        LineMode {
            local: settings.local_modes & CHANGED,
            input: settings.input_modes,
            min: settings.special_codes[SpecialCodeIndex::VMIN],
            time: settings.special_codes[SpecialCodeIndex::VTIME],
        }
    }

    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.local.bits().to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.input.bits().to_ne_bytes());
        bytes[8..].copy_from_slice(&[self.min, self.time]);
        bytes
    }

    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> LineMode {
        let [a, b, c, d, e, f, g, h, min, time] = bytes;
        LineMode {
            local: LocalModes::from_bits_retain(u32::from_ne_bytes([a, b, c, d])),
            input: InputModes::from_bits_retain(u32::from_ne_bytes([e, f, g, h])),
            min,
            time,
        }
    }
}

fn set_reads(settings: &mut Termios, (min, time): (u8, u8)) {
    settings.special_codes[SpecialCodeIndex::VMIN] = min;
    settings.special_codes[SpecialCodeIndex::VTIME] = time;
}

/// At once, and what was typed and is not read stays.
fn change(terminal: impl AsFd, settings: &Termios) -> Result<()> {
    // In the background we would be stopped for it.
    let former = SignalMask::of(&[libc::SIGTTOU]).block();
    let changed = tcsetattr(terminal, OptionalActions::Now, settings);
    former.restore();
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_through_a_pipe_as_it_was() {
        let mode = LineMode {
            local: CHANGED,
            input: InputModes::ICRNL | InputModes::IXON,
            min: 4,
            time: 255,
        };
        assert_eq!(LineMode::from_bytes(mode.to_bytes()), mode);
    }
}
