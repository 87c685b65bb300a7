//! The variables by which engines that start several machines tell each of them its place.

use crate::model::shard::Shard;

/// More shards than anybody has machines.
pub const MOST: usize = 100_000;

/// The value of a variable.
type Lookup<'l> = &'l dyn Fn(&str) -> Option<String>;

#[derive(Debug)]
struct Engine {
    name: &'static str,
    index: &'static str,
    total: Option<&'static str>,
    first: First,
}

/// The index of an engine's first machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Zero,
    One,
    /// Whatever the user has said, in steps: these variables have the first and last one, and the
    /// step.
    Array([&'static str; 3]),
}

const fn engine(
    name: &'static str,
    index: &'static str,
    total: Option<&'static str>,
    first: First,
) -> Engine {
    Engine { name, index, total, first }
}

const ENGINES: [Engine; 10] = [
    engine("Bazel", "TEST_SHARD_INDEX", Some("TEST_TOTAL_SHARDS"), First::Zero),
    engine("GitLab", "CI_NODE_INDEX", Some("CI_NODE_TOTAL"), First::One),
    engine("CircleCI", "CIRCLE_NODE_INDEX", Some("CIRCLE_NODE_TOTAL"), First::Zero),
    engine(
        "Buildkite",
        "BUILDKITE_PARALLEL_JOB",
        Some("BUILDKITE_PARALLEL_JOB_COUNT"),
        First::Zero,
    ),
    engine("Semaphore", "SEMAPHORE_JOB_INDEX", Some("SEMAPHORE_JOB_COUNT"), First::One),
    engine(
        "Bitbucket",
        "BITBUCKET_PARALLEL_STEP",
        Some("BITBUCKET_PARALLEL_STEP_COUNT"),
        First::Zero,
    ),
    engine("Azure", "SYSTEM_JOBPOSITIONINPHASE", Some("SYSTEM_TOTALJOBSINPHASE"), First::One),
    engine("Slurm array", "SLURM_ARRAY_TASK_ID", Some("SLURM_ARRAY_TASK_COUNT"), ARRAY),
    engine("Slurm srun", "SLURM_PROCID", Some("SLURM_NTASKS"), First::Zero),
    engine("Kubernetes", "JOB_COMPLETION_INDEX", None, First::Zero),
];

const ARRAY: First =
    First::Array(["SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX", "SLURM_ARRAY_TASK_STEP"]);

/// Variables that identify the run of an engine, of which all of its machines have the same.
const PIPELINES: [&str; 8] = [
    "GITHUB_RUN_ID",
    "CI_PIPELINE_ID",
    "CIRCLE_WORKFLOW_ID",
    "BUILDKITE_BUILD_ID",
    "SEMAPHORE_WORKFLOW_ID",
    "BITBUCKET_PIPELINE_UUID",
    "BUILD_BUILDID",
    "SLURM_ARRAY_JOB_ID",
];

/// The file that Bazel wants to see changed by a test that knows how to be a shard.
pub const STATUS_FILE: &str = "TEST_SHARD_STATUS_FILE";

/// The run of the engine that has started this machine: `CI_PIPELINE_ID=4711`.
pub fn pipeline() -> Option<String> {
    let found = |name: &&str| Some(format!("{name}={}", value(&|n| std::env::var(n).ok(), name)?));
    PIPELINES.iter().find_map(found)
}

/// A place that an engine tells.
#[derive(Debug)]
struct Place {
    engine: &'static Engine,
    shard: Shard,
}

/// The shard of this machine, with so many in all or as many as the engine says.
///
/// An engine that has started one machine says nothing beside one that has started several; several
/// of those must agree.
pub fn resolve(total: Option<usize>, lookup: Lookup<'_>) -> Result<Shard, String> {
    let mut places = Vec::new();
    let mut incomplete = None;
    for engine in &ENGINES {
        match engine.place(total, lookup)? {
            Told::Place(shard) => places.push(Place { engine, shard }),
            Told::Nothing => {}
            Told::Part(what) => drop(incomplete.get_or_insert(what)),
        }
    }
    let most = places.iter().map(|place| place.shard.total).max();
    places.retain(|place| Some(place.shard.total) == most || place.shard.total > 1);
    let Some(first) = places.first() else {
        return Err(incomplete.unwrap_or_else(|| nothing_found(total)));
    };
    match places.iter().find(|place| place.shard != first.shard) {
        Some(other) => Err(format!(
            "the variables of two engines disagree: {} and {}; write `--shard I/N`",
            first.described(lookup),
            other.described(lookup)
        )),
        None => Ok(first.shard),
    }
}

fn nothing_found(total: Option<usize>) -> String {
    let looked_for = ENGINES.iter().filter(|engine| total.is_some() || engine.total.is_some());
    let looked_for: Vec<String> = looked_for
        .map(|engine| match engine.total {
            Some(count) => format!("{} and {count} ({})", engine.index, engine.name),
            None => format!("{} ({})", engine.index, engine.name),
        })
        .collect();
    let hint = match total {
        None => ", or `--shard auto/N` where only the index is known (Kubernetes)",
        Some(_) => "",
    };
    format!(
        "no CI system's shard variables are set; looked for {}; write `--shard I/N`{hint}",
        looked_for.join(", ")
    )
}

/// What an engine's variables say.
enum Told {
    Nothing,
    Place(Shard),
    /// Something is missing, and what.
    Part(String),
}

impl Engine {
    fn place(&self, total: Option<usize>, lookup: Lookup<'_>) -> Result<Told, String> {
        let index = number_of(self.index, lookup)?;
        let count = self.total.map_or(Ok(None), |name| number_of(name, lookup))?;
        let of = |name: Option<&str>| name.unwrap_or_default().to_owned();
        let (index, count) = match (index, count, total) {
            (None, None, _) => return Ok(Told::Nothing),
            // Engines say so of every job that is not divided.
            (_, Some(1), Some(2..)) => return Ok(Told::Nothing),
            (None, Some(1), _) => return Ok(Told::Place(Shard { index: 1, total: 1 })),
            (None, Some(count), _) => {
                let name = of(self.total);
                return Ok(Told::Part(format!("{name} is {count}, but {} is not set", self.index)));
            }
            (Some(_), Some(count), Some(total)) if count != total => {
                let name = of(self.total);
                return Err(format!("{name} is {count}, and `auto/{total}` says {total}"));
            }
            (Some(index), None, None) => {
                return Ok(Told::Part(format!(
                    "{} is {index} ({}), but no variable says how many shards there are: write `--shard auto/N`",
                    self.index, self.name
                )));
            }
            (Some(index), count, total) => (index, count.or(total).unwrap_or(1)),
        };
        let before = self.before(index, count, lookup)?;
        match before {
            Some(before) if before < count => {
                Ok(Told::Place(Shard { index: before + 1, total: count }))
            }
            _ => Err(format!(
                "{} is {index}, which is none of {count} shards; write `--shard I/N`",
                self.index
            )),
        }
    }

    /// How many machines are before the one with this index.
    fn before(
        &self,
        index: usize,
        count: usize,
        lookup: Lookup<'_>,
    ) -> Result<Option<usize>, String> {
        let (first, step) = match self.first {
            First::Zero => (0, 1),
            First::One => (1, 1),
            First::Array([least, most, step]) => {
                let least = number_of(least, lookup)?.unwrap_or(0);
                let step = number_of(step, lookup)?.unwrap_or(1).max(1);
                if let Some(most) = number_of(most, lookup)?
                    && most.saturating_sub(least) / step + 1 != count
                {
                    return Err(format!(
                        "the {count} indices of the Slurm array from {least} to {most} are not evenly spaced; write `--shard I/N`"
                    ));
                }
                (least, step)
            }
        };
        let distance = index.checked_sub(first);
        Ok(distance.filter(|distance| distance % step == 0).map(|distance| distance / step))
    }
}

impl Place {
    fn described(&self, lookup: Lookup<'_>) -> String {
        let Engine { name, index, total, .. } = self.engine;
        let said = |name: &str| Some(format!("{name}={}", value(lookup, name)?));
        let said: Vec<String> =
            [Some(*index), *total].into_iter().flatten().filter_map(said).collect();
        format!("{} ({name}: shard {})", said.join(" "), self.shard)
    }
}

/// Variables that are empty are not set.
fn value(lookup: Lookup<'_>, name: &str) -> Option<String> {
    lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn number_of(name: &str, lookup: Lookup<'_>) -> Result<Option<usize>, String> {
    let Some(value) = value(lookup, name) else { return Ok(None) };
    match value.parse() {
        Ok(number) if number <= MOST => Ok(Some(number)),
        _ => Err(format!("{name} is no number of a shard: `{value}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(total: Option<usize>, variables: &str) -> Result<String, String> {
        let lookup = |name: &str| {
            let pairs = variables.split(' ').filter_map(|pair| pair.split_once('='));
            pairs.into_iter().find(|(of, _)| *of == name).map(|(_, value)| value.to_owned())
        };
        resolve(total, &lookup).map(|shard| shard.to_string())
    }

    #[test]
    fn every_engine_is_understood() {
        for (variables, shard) in [
            ("TEST_SHARD_INDEX=0 TEST_TOTAL_SHARDS=3", "1/3"),
            ("CI_NODE_INDEX=1 CI_NODE_TOTAL=3", "1/3"),
            ("CIRCLE_NODE_INDEX=2 CIRCLE_NODE_TOTAL=3", "3/3"),
            ("BUILDKITE_PARALLEL_JOB=0 BUILDKITE_PARALLEL_JOB_COUNT=3", "1/3"),
            ("SEMAPHORE_JOB_INDEX=3 SEMAPHORE_JOB_COUNT=3", "3/3"),
            ("BITBUCKET_PARALLEL_STEP=1 BITBUCKET_PARALLEL_STEP_COUNT=3", "2/3"),
            ("SYSTEM_JOBPOSITIONINPHASE=2 SYSTEM_TOTALJOBSINPHASE=3", "2/3"),
            (
                "SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=3 SLURM_ARRAY_TASK_STEP=1",
                "2/3",
            ),
            (
                "SLURM_ARRAY_TASK_ID=14 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=10 SLURM_ARRAY_TASK_MAX=15 SLURM_ARRAY_TASK_STEP=2",
                "3/3",
            ),
            ("SLURM_PROCID=1 SLURM_NTASKS=3", "2/3"),
            // An array's jobs of one task each.
            ("SLURM_ARRAY_TASK_ID=0 SLURM_ARRAY_TASK_COUNT=2 SLURM_PROCID=0 SLURM_NTASKS=1", "1/2"),
            // Jobs that are not divided.
            ("CI_NODE_TOTAL=1", "1/1"),
            ("CI_NODE_TOTAL=1 SLURM_PROCID=1 SLURM_NTASKS=2", "2/2"),
            ("CI_NODE_INDEX= CI_NODE_TOTAL= SLURM_PROCID=1 SLURM_NTASKS=2", "2/2"),
            // Two that agree.
            ("CI_NODE_INDEX=2 CI_NODE_TOTAL=3 SLURM_PROCID=1 SLURM_NTASKS=3", "2/3"),
        ] {
            assert_eq!(resolved(None, variables), Ok(shard.to_owned()), "{variables}");
        }
    }

    #[test]
    fn the_number_of_shards_may_come_from_the_command_line() {
        for (variables, shard) in [
            ("JOB_COMPLETION_INDEX=0", "1/4"),
            ("JOB_COMPLETION_INDEX=3", "4/4"),
            ("JOB_COMPLETION_INDEX=3 CI_NODE_TOTAL=1", "4/4"),
            ("CI_NODE_INDEX=3 CI_NODE_TOTAL=4", "3/4"),
            ("SLURM_PROCID=3", "4/4"),
        ] {
            assert_eq!(resolved(Some(4), variables), Ok(shard.to_owned()), "{variables}");
        }
    }

    #[test]
    fn what_is_missing_or_contradicts_is_told() {
        for (total, variables, why) in [
            (None, "", "looked for TEST_SHARD_INDEX and TEST_TOTAL_SHARDS (Bazel), CI_NODE_INDEX"),
            (
                None,
                "JOB_COMPLETION_INDEX=1",
                "JOB_COMPLETION_INDEX is 1 (Kubernetes), but no variable says how many",
            ),
            (Some(2), "", "JOB_COMPLETION_INDEX (Kubernetes)"),
            (Some(2), "CI_NODE_TOTAL=1", "looked for"),
            (None, "CI_NODE_TOTAL=3", "CI_NODE_TOTAL is 3, but CI_NODE_INDEX is not set"),
            (
                Some(2),
                "JOB_COMPLETION_INDEX=2",
                "JOB_COMPLETION_INDEX is 2, which is none of 2 shards",
            ),
            (None, "CI_NODE_INDEX=0 CI_NODE_TOTAL=3", "CI_NODE_INDEX is 0, which is none of 3"),
            (None, "CI_NODE_INDEX=x CI_NODE_TOTAL=3", "CI_NODE_INDEX is no number of a shard: `x`"),
            (Some(5), "CI_NODE_INDEX=1 CI_NODE_TOTAL=3", "CI_NODE_TOTAL is 3, and `auto/5` says 5"),
            (
                None,
                "CI_NODE_INDEX=1 CI_NODE_TOTAL=3 SLURM_PROCID=1 SLURM_NTASKS=3",
                "CI_NODE_INDEX=1 CI_NODE_TOTAL=3 (GitLab: shard 1/3) and SLURM_PROCID=1 SLURM_NTASKS=3 (Slurm srun: shard 2/3)",
            ),
            (
                None,
                "SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=7 SLURM_ARRAY_TASK_STEP=1",
                "not evenly spaced",
            ),
        ] {
            let error = resolved(total, variables).unwrap_err();
            assert!(error.contains(why), "{variables}: {error}");
        }
    }
}
