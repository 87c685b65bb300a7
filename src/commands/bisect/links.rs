//! What links two tests, by name.

use crate::model::test::TestId;
use crate::worker::run_state::RunState;

/// By which thing one test may have changed the outcome of another one, in a run that both took part
/// in. Here everything is asked that watches tests.
pub fn thing(run: &RunState, other: TestId, test: TestId, reason: &str) -> Option<String> {
    run.usage.link(other, test, reason).map(|thing| thing.to_string())
}
