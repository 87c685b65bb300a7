//! A line of a run's JSON stream, as it is read back. Fields that an older version did not write are
//! as if nothing had happened.

use serde::Deserialize;

use crate::model::state_change::StateChange;

#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Line {
    RunStarted(RunStarted),
    Shard(Shard),
    Test(Box<TestLine>),
    StageEnded(StageLine),
    WorkerEnded(WorkerLine),
    Fixture(FixtureLine),
    LeftBehind(LeftBehindLine),
    WorkerOutput(WorkerOutputLine),
    StateChanged(StateChangedLine),
    RunFinished(Finished),
    BuildFailed(NoResult),
    UsageError(NoResult),
    Interrupted(NoResult),
    Error(NoResult),
    /// Of a newer version, or of another command.
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, Deserialize)]
pub struct RunStarted {
    pub run: String,
    pub slots: usize,
    #[serde(default)]
    pub flags: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Shard {
    pub shard: usize,
    pub shards: usize,
    pub plan: String,
    pub pipeline: Option<String>,
    pub in_other_shards: usize,
    pub binaries: Vec<Binary>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Binary {
    pub id: String,
    pub package: String,
    pub kind: String,
    pub listed: usize,
    pub tests: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TestLine {
    pub id: String,
    pub package: String,
    pub binary: String,
    pub kind: String,
    /// Of its target, if that is not the name of the binary.
    pub target: Option<String>,
    pub name: String,
    #[serde(default)]
    pub ignored: bool,
    pub outcome: String,
    pub seconds: f64,
    pub ended: Option<f64>,
    pub cpu_seconds: Option<f64>,
    pub attempt: u32,
    pub worker: Option<u64>,
    pub reason: Option<String>,
    #[serde(default)]
    pub flaky: bool,
    #[serde(default)]
    pub order_dependent: bool,
    #[serde(default)]
    pub failed_before: Vec<AttemptLine>,
    pub interfered: Option<InterferenceLine>,
    #[serde(default)]
    pub leaks: Vec<LeakLine>,
    #[serde(default)]
    pub neighbors: Vec<String>,
    pub output: String,
    #[serde(default)]
    pub notes: usize,
    pub output_lost: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AttemptLine {
    pub outcome: String,
    pub seconds: f64,
    pub ended: Option<f64>,
    pub worker: Option<u64>,
    pub reason: Option<String>,
    pub beside: usize,
    pub output: String,
    #[serde(default)]
    pub notes: usize,
    pub output_lost: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct InterferenceLine {
    /// The id of a test, or the beginning of the ids of a binary's tests.
    pub by: String,
    pub thing: String,
    pub kind: String,
}

/// A stage before the tests. Times are in seconds from the beginning of the build.
#[derive(Debug, Deserialize)]
pub struct StageLine {
    pub stage: String,
    pub began: f64,
    pub ended: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WorkerLine {
    pub worker: u64,
    pub pid: u32,
    pub slots: Vec<usize>,
    pub threads: usize,
    pub most_threads: usize,
    pub node: String,
    pub unit: bool,
    pub began: f64,
    pub ended: f64,
}

#[derive(Debug, Deserialize)]
pub struct LeakLine {
    pub kind: String,
    pub what: String,
    #[serde(rename = "where")]
    pub place: Option<String>,
    pub action: String,
    pub detail: String,
    pub rule: String,
}

#[derive(Debug, Deserialize)]
pub struct FixtureLine {
    pub name: String,
    pub slot: Option<usize>,
    pub state: String,
    pub began: Option<f64>,
    pub at: Option<f64>,
    pub seconds: Option<f64>,
    pub reason: Option<String>,
    #[serde(default)]
    pub leaks: Vec<LeakLine>,
    pub output: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct LeftBehindLine {
    pub id: Option<String>,
    pub unit: Option<String>,
    pub leaks: Vec<LeakLine>,
}

#[derive(Debug, Deserialize)]
pub struct WorkerOutputLine {
    pub worker: u64,
    pub ids: Vec<String>,
    pub output: String,
}

#[derive(Debug, Deserialize)]
pub struct StateChangedLine {
    pub id: String,
    pub changes: Vec<StateChange>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finished {
    pub not_run: usize,
    pub leaks: usize,
    #[serde(default)]
    pub denied_leaks: usize,
    #[serde(default)]
    pub filtered_out: usize,
    pub list_failures: usize,
    #[serde(default)]
    pub doctest_failures: usize,
    #[serde(default)]
    pub failed_fixtures: usize,
    pub processes: u64,
    pub interrupted: bool,
    #[serde(default)]
    pub run_timed_out: bool,
    #[serde(default)]
    pub internal_error: bool,
    pub seconds: f64,
}

/// Why there is no result.
#[derive(Debug, Deserialize)]
pub struct NoResult {
    pub reason: String,
}
