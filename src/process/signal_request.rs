//! The signals that a run listens to, each counted once whichever way it came.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1};

use super::event::ForwardedSignal;
use super::signal_disposition::ignores_hang_up;

const HEARD: [i32; 6] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGUSR1];

/// What somebody wants of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalRequest {
    Shutdown(ForwardedSignal),
    Stop,
    /// To be told what runs now.
    ShowRunning,
    /// Nobody can want anything any more: the process that the user started is gone.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    ParentExited,
}

impl SignalRequest {
    fn of(signal: i32) -> SignalRequest {
        match signal {
            SIGTERM => SignalRequest::Shutdown(ForwardedSignal::Terminate),
            SIGHUP => SignalRequest::Shutdown(ForwardedSignal::HangUp),
            SIGQUIT => SignalRequest::Shutdown(ForwardedSignal::Quit),
            SIGTSTP => SignalRequest::Stop,
            SIGUSR1 => SignalRequest::ShowRunning,
            _ => SignalRequest::Shutdown(ForwardedSignal::Interrupt),
        }
    }
}

/// The signals that are requests.
fn heard() -> impl Iterator<Item = i32> {
    let ignored = ignores_hang_up().then_some(SIGHUP);
    HEARD.into_iter().filter(move |signal| Some(*signal) != ignored)
}

/// Stops this process until somebody lets it go on, and leaves the terminal in line mode meanwhile.
/// The calling thread has stopped when the call returns.
pub fn stop_self() {
    #[cfg(target_os = "linux")]
    let _line_mode = super::key_mode::hold();
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
        signal_hook::iterator::Signals::new(heard()).map(Signals)
    }

    /// Waits for the next one.
    pub fn next(&mut self) -> io::Result<SignalRequest> {
        match self.0.forever().next() {
            Some(signal) => Ok(SignalRequest::of(signal)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// A signal to the whole process group comes twice: direct from its sender, and handed on by
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

    use super::super::syscalls::{ReceivedSignal, write_signals_to};
    use super::SignalRequest;
    use super::{heard, io};

    /// `timeout` sends its signal twice, to the process and to the group, and means it once.
    /// Nobody who waits to see what the first one does is so quick.
    const TOGETHER: Duration = Duration::from_millis(3);

    pub struct Signals {
        direct: OwnedFd,
        /// None where there is no such process, or none any more.
        forwarded: Option<OwnedFd>,
        tally: SignalCounter,
    }

    impl Signals {
        /// Catches the signals for as long as the process lives.
        pub fn catch(forwarded: Option<OwnedFd>) -> io::Result<Signals> {
            let (direct, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
            let writer = Arc::new(writer);
            heard().try_for_each(|signal| write_signals_to(signal, &writer))?;
            Ok(Signals { direct, forwarded, tally: SignalCounter::default() })
        }

        /// Waits for the next one.
        pub fn next(&mut self) -> io::Result<SignalRequest> {
            loop {
                self.wait()?;
                if let Ok(Some(sent)) = read(&self.direct)
                    && self.tally.counts(sent, Way::Direct, Instant::now())
                {
                    return Ok(SignalRequest::of(sent.signal));
                }
                match self.forwarded.as_ref().map(read) {
                    Some(Ok(Some(sent)))
                        if self.tally.counts(sent, Way::Forwarded, Instant::now()) =>
                    {
                        return Ok(SignalRequest::of(sent.signal));
                    }
                    Some(Ok(None)) => {
                        self.forwarded = None;
                        return Ok(SignalRequest::ParentExited);
                    }
                    _ => {}
                }
            }
        }

        fn wait(&self) -> io::Result<()> {
            let pipes = std::iter::once(&self.direct).chain(&self.forwarded);
            let mut fds: Vec<_> = pipes.map(|pipe| PollFd::new(pipe, PollFlags::IN)).collect();
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }
    }

    /// One signal, or none at the end of the pipe. They are written whole.
    fn read(pipe: &OwnedFd) -> io::Result<Option<ReceivedSignal>> {
        let mut bytes = [0; ReceivedSignal::BYTES];
        match rustix::io::read(pipe, &mut bytes)? {
            0 => Ok(None),
            ReceivedSignal::BYTES => Ok(Some(ReceivedSignal::from_bytes(bytes))),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Way {
        Direct,
        Forwarded,
    }

    /// How often each sender's signal came by each way: as often as by the busier one it was
    /// sent.
    #[derive(Debug, Default)]
    struct SignalCounter(BTreeMap<ReceivedSignal, Arrivals>);

    #[derive(Debug, Default)]
    struct Arrivals {
        times: [u32; 2],
        counted: Option<Instant>,
    }

    impl SignalCounter {
        /// Whether this is a new one, and not the other half of one that was counted.
        fn counts(&mut self, sent: ReceivedSignal, way: Way, now: Instant) -> bool {
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
        use super::Way::{Direct, Forwarded};
        use super::*;

        #[test]
        fn a_signal_is_counted_once_whichever_way_it_came() {
            let mut tally = SignalCounter::default();
            let sent = |signal, sender| ReceivedSignal { signal, sender };
            let script = [
                // From the terminal, to both.
                (sent(2, 0), Direct, true),
                (sent(2, 0), Forwarded, false),
                // And again, the other half first.
                (sent(2, 0), Forwarded, true),
                (sent(2, 0), Direct, false),
                // By two processes, to one each.
                (sent(2, 7), Forwarded, true),
                (sent(2, 8), Direct, true),
                (sent(15, 8), Direct, true),
                (sent(15, 8), Direct, true),
                (sent(15, 8), Forwarded, false),
            ];
            let start = Instant::now();
            for (at, (sent, way, expected)) in script.into_iter().enumerate() {
                let now = start + TOGETHER * at as u32;
                assert_eq!(tally.counts(sent, way, now), expected, "step {at}");
            }
        }

        #[test]
        fn two_at_one_stroke_are_one_unless_they_come_from_the_terminal() {
            let (mut tally, now) = (SignalCounter::default(), Instant::now());
            let by = |sender| ReceivedSignal { signal: 15, sender };
            assert!(tally.counts(by(7), Forwarded, now));
            assert!(!tally.counts(by(7), Forwarded, now));
            assert!(!tally.counts(by(7), Direct, now));
            assert!(tally.counts(by(7), Forwarded, now + TOGETHER));
            assert!(tally.counts(by(0), Direct, now));
            assert!(tally.counts(by(0), Direct, now));
        }

        #[test]
        fn a_signal_comes_through_a_pipe_as_it_was() {
            for sent in [
                ReceivedSignal { signal: 2, sender: 0 },
                ReceivedSignal { signal: 64, sender: i32::MAX },
            ] {
                assert_eq!(ReceivedSignal::from_bytes(sent.to_bytes()), sent);
            }
        }
    }
}
