//! The signals that a run listens to, each counted once whichever way it came.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1};

use super::event::Passed;

const HEARD: [i32; 6] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGUSR1];

/// What somebody wants of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    End(Passed),
    Stop,
    /// To be told what runs now.
    Know,
    /// Nobody can want anything any more: the process that the user started is gone.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    Orphaned,
}

impl Wish {
    fn of(signal: i32) -> Wish {
        match signal {
            SIGTERM => Wish::End(Passed::Terminate),
            SIGHUP => Wish::End(Passed::HangUp),
            SIGQUIT => Wish::End(Passed::Quit),
            SIGTSTP => Wish::Stop,
            SIGUSR1 => Wish::Know,
            _ => Wish::End(Passed::Interrupt),
        }
    }
}

/// Stops this process until somebody lets it go on. The calling thread has stopped when the
/// call returns.
pub fn stop_here() {
    // The number is a signal's, and this one cannot be refused.
    let _ = signal_hook::low_level::raise(signal_hook::consts::SIGSTOP);
}

#[cfg(target_os = "linux")]
pub use twice::Signals;

/// Where there is no guard every signal comes one way.
#[cfg(not(target_os = "linux"))]
pub struct Signals(signal_hook::iterator::Signals);

#[cfg(not(target_os = "linux"))]
impl Signals {
    pub fn catch(_lines: Option<std::os::fd::OwnedFd>) -> io::Result<Signals> {
        signal_hook::iterator::Signals::new(HEARD).map(Signals)
    }

    /// Waits for the next one.
    pub fn next(&mut self) -> io::Result<Wish> {
        match self.0.forever().next() {
            Some(signal) => Ok(Wish::of(signal)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// A signal to the whole process group comes twice: straight from its sender, and handed on by
/// the process that the user started. One to that process alone comes by the second way only,
/// one to the runner alone by the first.
#[cfg(target_os = "linux")]
mod twice {
    use std::collections::BTreeMap;
    use std::os::fd::OwnedFd;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;
    use rustix::pipe::{PipeFlags, pipe_with};

    use super::super::syscalls::{Sent, hear};
    use super::Wish;
    use super::{HEARD, io};

    /// `timeout` sends its signal twice, to the process and to the group, and means it once.
    /// Nobody who waits to see what the first one does is so quick.
    const TOGETHER: Duration = Duration::from_millis(3);

    pub struct Signals {
        straight: OwnedFd,
        /// None where there is no such process, or none any more.
        handed_on: Option<OwnedFd>,
        tally: Tally,
    }

    impl Signals {
        /// Catches the signals for as long as the process lives.
        pub fn catch(handed_on: Option<OwnedFd>) -> io::Result<Signals> {
            let (straight, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
            let writer = Arc::new(writer);
            HEARD.iter().try_for_each(|signal| hear(*signal, &writer))?;
            Ok(Signals { straight, handed_on, tally: Tally::default() })
        }

        /// Waits for the next one.
        pub fn next(&mut self) -> io::Result<Wish> {
            loop {
                self.wait()?;
                if let Ok(Some(sent)) = read(&self.straight)
                    && self.tally.counts(sent, Way::Straight, Instant::now())
                {
                    return Ok(Wish::of(sent.signal));
                }
                match self.handed_on.as_ref().map(read) {
                    Some(Ok(Some(sent)))
                        if self.tally.counts(sent, Way::HandedOn, Instant::now()) =>
                    {
                        return Ok(Wish::of(sent.signal));
                    }
                    Some(Ok(None)) => {
                        self.handed_on = None;
                        return Ok(Wish::Orphaned);
                    }
                    _ => {}
                }
            }
        }

        fn wait(&self) -> io::Result<()> {
            let pipes = std::iter::once(&self.straight).chain(&self.handed_on);
            let mut fds: Vec<_> = pipes.map(|pipe| PollFd::new(pipe, PollFlags::IN)).collect();
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }
    }

    /// One signal, or none at the end of the pipe. They are written whole.
    fn read(pipe: &OwnedFd) -> io::Result<Option<Sent>> {
        let mut bytes = [0; Sent::BYTES];
        match rustix::io::read(pipe, &mut bytes)? {
            0 => Ok(None),
            Sent::BYTES => Ok(Some(Sent::from_bytes(bytes))),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Way {
        Straight,
        HandedOn,
    }

    /// How often each sender's signal came by each way: as often as by the busier one it was
    /// sent.
    #[derive(Debug, Default)]
    struct Tally(BTreeMap<Sent, Came>);

    #[derive(Debug, Default)]
    struct Came {
        times: [u32; 2],
        counted: Option<Instant>,
    }

    impl Tally {
        /// Whether this is a new one, and not the other half of one that was counted.
        fn counts(&mut self, sent: Sent, way: Way, now: Instant) -> bool {
            let came = self.0.entry(sent).or_default();
            let most = came.times[0].max(came.times[1]);
            came.times[way as usize] += 1;
            let is_new = came.times[way as usize] > most;
            let is_by_a_process = sent.sender != 0;
            let is_together =
                came.counted.is_some_and(|at| now.saturating_duration_since(at) < TOGETHER);
            let counts = is_new && !(is_by_a_process && is_together);
            if counts {
                came.counted = Some(now);
            }
            counts
        }
    }

    #[cfg(test)]
    mod tests {
        use super::Way::{HandedOn, Straight};
        use super::*;

        #[test]
        fn a_signal_is_counted_once_whichever_way_it_came() {
            let mut tally = Tally::default();
            let sent = |signal, sender| Sent { signal, sender };
            let script = [
                // From the terminal, to both.
                (sent(2, 0), Straight, true),
                (sent(2, 0), HandedOn, false),
                // And again, the other half first.
                (sent(2, 0), HandedOn, true),
                (sent(2, 0), Straight, false),
                // By two processes, to one each.
                (sent(2, 7), HandedOn, true),
                (sent(2, 8), Straight, true),
                (sent(15, 8), Straight, true),
                (sent(15, 8), Straight, true),
                (sent(15, 8), HandedOn, false),
            ];
            let start = Instant::now();
            for (at, (sent, way, expected)) in script.into_iter().enumerate() {
                let now = start + TOGETHER * at as u32;
                assert_eq!(tally.counts(sent, way, now), expected, "step {at}");
            }
        }

        #[test]
        fn two_at_one_stroke_are_one_unless_they_come_from_the_terminal() {
            let (mut tally, now) = (Tally::default(), Instant::now());
            let by = |sender| Sent { signal: 15, sender };
            assert!(tally.counts(by(7), HandedOn, now));
            assert!(!tally.counts(by(7), HandedOn, now));
            assert!(!tally.counts(by(7), Straight, now));
            assert!(tally.counts(by(7), HandedOn, now + TOGETHER));
            assert!(tally.counts(by(0), Straight, now));
            assert!(tally.counts(by(0), Straight, now));
        }

        #[test]
        fn a_signal_comes_through_a_pipe_as_it_was() {
            for sent in [Sent { signal: 2, sender: 0 }, Sent { signal: 64, sender: i32::MAX }] {
                assert_eq!(Sent::from_bytes(sent.to_bytes()), sent);
            }
        }
    }
}
