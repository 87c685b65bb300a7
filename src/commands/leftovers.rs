//! What is still running when all tests have finished.

use crate::cli::settings::Settings;
use crate::fixture::kept::KeptFixtures;
use crate::leaks::classify;
use crate::model::event::{Event, LeakedBy};
use crate::model::summary::Summary;
use crate::model::warning::Warning;
use crate::process::platform;
use crate::process::procfs::{self, ProcessInfo};
use crate::report::reports::Reports;
use crate::worker::services::Services;

/// Processes that outlived the tests.
pub struct Leftovers {
    orphans: Vec<ProcessInfo>,
    killed: usize,
    /// The fixtures that stay up for the next run.
    kept_fixtures: Vec<String>,
}

impl Leftovers {
    /// Kills all orphans but those that belong to kept fixtures or to the build.
    pub fn kill(services: &Services<'_>) -> Leftovers {
        let daemons = services.kept_fixtures.as_ref().map(KeptFixtures::daemons);
        let (mut stay, kept_fixtures): (Vec<u32>, Vec<String>) =
            daemons.unwrap_or_default().into_iter().unzip();
        stay.extend(services.groups.exempted());
        let orphans = procfs::living_orphans(&stay);
        let killed = platform::kill_orphans(&stay);
        services.groups.release_build();
        Leftovers { orphans, killed, kept_fixtures }
    }

    /// Reports them, and counts the leaks among them.
    pub fn report(self, settings: &Settings, summary: &mut Summary, reports: &mut Reports<'_>) {
        if !self.kept_fixtures.is_empty() {
            let fixtures = self.kept_fixtures;
            reports.show(&Event::Warning(Warning::FixturesKept { fixtures }));
        }
        // A process that was killed together with its test is no leak.
        if summary.interrupted || summary.timed_out {
            if self.killed > 0 {
                reports.show(&Event::Warning(Warning::OrphansKilled { count: self.killed }));
            }
            return;
        }
        let leaks = classify::leaks_of_run(self.orphans, settings.leaks);
        if !leaks.is_empty() {
            summary.add_leaks(&leaks);
            reports.show(&Event::LeftBehind { by: LeakedBy::Run, leaks });
        }
    }
}
