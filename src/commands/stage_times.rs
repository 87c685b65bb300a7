//! When the stages before the tests began and ended.

use std::time::Instant;

use crate::model::event::{Stage, StageSpan};
use crate::process::clock;

/// When the stages before the tests began and ended, by the run's clock.
#[derive(Debug, Clone, Copy)]
pub struct StageTimes {
    build: Instant,
    /// When listing began; none as long as cargo builds beside the tests.
    built: Option<Instant>,
    /// None as long as binaries are listed beside the tests.
    listed: Option<Instant>,
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

    /// All that was built has been listed.
    pub fn end_listing(&mut self) {
        self.listed = Some(clock::now());
    }

    /// The stages until now, when the last binary has been listed. Both are one where cargo went on
    /// building beside the tests.
    pub fn spans(self) -> impl Iterator<Item = StageSpan> {
        let now = clock::now();
        let ended = self.built.unwrap_or(now);
        let build = StageSpan { stage: Stage::Building, began: self.build, ended };
        let list = self.built.map(|began| {
            let ended = self.listed.unwrap_or(now);
            StageSpan { stage: Stage::Listing, began, ended }
        });
        [build].into_iter().chain(list)
    }
}
