//! When the stages before the tests began and ended.

use std::time::Instant;

use crate::model::event::{Stage, StageSpan};
use crate::process::clock;

/// When the stages before the tests began and ended, by the run's clock.
#[derive(Debug, Clone, Copy)]
pub struct StageTimes {
    build: Instant,
    /// None as long as cargo builds beside the tests.
    built: Option<Instant>,
    listed: Option<(Instant, Instant)>,
}

impl StageTimes {
    /// cargo is about to be started.
    pub fn begin() -> StageTimes {
        StageTimes { build: clock::now(), built: None, listed: None }
    }

    /// cargo has built everything.
    pub fn built(self) -> StageTimes {
        StageTimes { built: Some(clock::now()), ..self }
    }

    /// What was built until then has been listed since.
    pub fn note_listed(&mut self, began: Instant) {
        self.listed = Some((began, clock::now()));
    }

    /// The stages until now, when the last binary has been listed. Those that went on beside the
    /// tests are one.
    pub fn spans(self) -> impl Iterator<Item = StageSpan> {
        let (built, listed) = match self.built {
            Some(built) => (built, self.listed),
            None => (clock::now(), None),
        };
        let build = StageSpan { stage: Stage::Building, began: self.build, ended: built };
        let list = listed.map(|(began, ended)| StageSpan { stage: Stage::Listing, began, ended });
        [build].into_iter().chain(list)
    }
}
