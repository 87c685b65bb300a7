//! What links two tests, by name.

use crate::commands::trials::Tried;
use crate::model::bisection::Company;
use crate::model::state_change;
use crate::model::test::TestId;

/// By which thing one test may have changed the outcome of another one, in a run that both took part
/// in: something outside of their processes, or else something inside, if that was watched.
pub fn thing(
    run: &Tried,
    company: Company,
    other: TestId,
    test: TestId,
    reason: &str,
) -> Option<String> {
    let outside = run.state.usage.link(other, test, reason).map(|thing| thing.to_string());
    let changes = |test: &TestId| run.changes.get(test).map(Vec::as_slice).unwrap_or_default();
    let inside = || match company {
        // What a test has changed is not known for certain while others run in its process.
        Company::Beside => state_change::common(changes(&other), changes(&test)),
        _ => state_change::link(changes(&other), changes(&test)),
    };
    outside.or_else(|| inside().map(|change| change.thing.to_string()))
}
