//! The wording of messages about a build or lists that tests wait for.

use super::messages::list;
use crate::model::duration::seconds;
use crate::model::event::Stage;
use crate::process::procfs::ProcessInfo;
use crate::run::interrupt::{Notice, NoticeKind, TestsMeanwhile};

/// The answer to a question or an interrupt that arrives before all tests are listed.
pub fn notice(notice: &Notice) -> String {
    let Notice { kind, stage, at_work, tests } = notice;
    let at_work = behind_a_colon(at_work);
    match (kind, tests) {
        (NoticeKind::Status, TestsMeanwhile::None) => match stage {
            Stage::Building => format!("no test is running yet: cargo is building{at_work}"),
            Stage::Listing => format!("no test is running yet: listing tests{at_work}"),
        },
        (NoticeKind::Status, _) => match (stage, tests) {
            (Stage::Building, _) => format!("cargo is still building{at_work}"),
            (Stage::Listing, TestsMeanwhile::WhileBuilding) => {
                format!("cargo is still building; also listing tests{at_work}")
            }
            (Stage::Listing, _) => format!("still listing tests{at_work}"),
        },
        (NoticeKind::Interrupt, TestsMeanwhile::None) => {
            format!("interrupted {}, before the first test{at_work}", during(*stage))
        }
        (NoticeKind::Interrupt, TestsMeanwhile::WhileListing) => {
            format!("interrupted {}{at_work}", during(*stage))
        }
        (NoticeKind::Interrupt, TestsMeanwhile::WhileBuilding) => {
            let lists = if *stage == Stage::Listing { " and tests were being listed" } else { "" };
            let building = during(Stage::Building);
            let lost = "results of tests that already ran are not reported";
            format!("interrupted {building}{lists}{at_work}; {lost}")
        }
    }
}

fn during(stage: Stage) -> &'static str {
    match stage {
        Stage::Building => "while cargo was building",
        Stage::Listing => "while tests were being listed",
    }
}

/// Shown when a build or a listing takes unusually long.
pub fn holds_up(stage: Stage, at_work: &[ProcessInfo]) -> String {
    let (what, how) = match stage {
        Stage::Building => ("for cargo to build", "Ctrl-C cancels it"),
        Stage::Listing => ("for tests to be listed", "limited by `list-timeout`"),
    };
    format!("{:>12} {what}{} ({how})", "Waiting", behind_a_colon(at_work))
}

fn behind_a_colon(at_work: &[ProcessInfo]) -> String {
    let name = |at_work: &ProcessInfo| {
        format!("`{}` for {} s", short_command(&at_work.command), seconds(at_work.age))
    };
    let names: Vec<String> = at_work.iter().map(name).collect();
    if names.is_empty() { String::new() } else { format!(": {}", list(&names)) }
}

/// A compiler's command line fills a screen; only the crate counts.
fn short_command(command: &str) -> String {
    const LONGEST: usize = 160;
    let mut words = command.split(' ');
    let krate = words.by_ref().find(|word| *word == "--crate-name").and_then(|_| words.next());
    match krate {
        Some(krate) => format!("rustc --crate-name {krate}"),
        None if command.chars().count() <= LONGEST => command.to_owned(),
        None => command.chars().take(LONGEST).chain(" …".chars()).collect(),
    }
}
