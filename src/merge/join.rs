//! Which streams are the shards of one run. Whatever is missing, twice, or does not belong together
//! is named: a report with a hole would be worse than none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::line::{Line, Shard};
use super::stream::{Stream, StreamFile};

/// The streams of one run.
#[derive(Debug)]
pub struct Joined {
    /// Complete, in the order of the shards.
    pub streams: Vec<Stream>,
    /// What was left out, since another file has all of the shard.
    pub left_out: Vec<String>,
}

/// A test as it is told apart from all others of a run: the id, and the kind of its target.
type Name = (String, String);

/// Joins the streams of these files, or says all that is wrong with them.
pub fn join(files: Vec<(&Path, StreamFile)>) -> Result<Joined, Vec<String>> {
    let mut empty = Vec::new();
    let (mut complete, mut cut) = (Vec::new(), Vec::new());
    for (path, file) in files {
        if file.streams.is_empty() {
            let why = file.no_run.unwrap_or_else(|| "it is empty".to_owned());
            empty.push(format!("`{}` has no result: {why}", path.display()));
        }
        for stream in file.streams {
            if is_complete(&stream) { complete.push(stream) } else { cut.push(stream) }
        }
    }
    let left_out: Vec<String> =
        empty.iter().cloned().chain(cut.iter().filter_map(Stream::trouble)).collect();
    if let [only] = &*complete
        && only.shard.is_none()
        && cut.iter().all(|stream| stream.shard.is_none())
    {
        return Ok(Joined { streams: complete, left_out });
    }
    check_kinship(&complete, &cut)?;
    let mut problems = missing(&complete, &cut);
    if !problems.is_empty() {
        // One of these may be it.
        let of_nobody = cut.iter().filter(|stream| stream.shard.is_none());
        problems.extend(empty.into_iter().chain(of_nobody.filter_map(Stream::trouble)));
    }
    complete.sort_by_key(|stream| stream.shard.as_ref().map(|shard| shard.shard));
    problems.extend(twice(&complete));
    if problems.is_empty() {
        problems = strays(&complete);
    }
    match problems.is_empty() {
        true => Ok(Joined { streams: complete, left_out }),
        false => Err(problems),
    }
}

/// Whether a shard has run all of its tests. One that was interrupted may have been started again.
fn is_complete(stream: &Stream) -> bool {
    let is_whole = |shard: &Shard, is_interrupted: bool| {
        let ran: BTreeSet<Name> = ran(stream).collect();
        !is_interrupted && planned(shard).all(|test| ran.contains(&test))
    };
    match (stream.finished(), &stream.shard) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(finished), Some(shard)) => is_whole(shard, finished.interrupted),
    }
}

/// Fails unless all are shards of one run.
fn check_kinship(complete: &[Stream], cut: &[Stream]) -> Result<(), Vec<String>> {
    let whole = complete.iter().filter(|stream| stream.shard.is_none());
    let whole: Vec<String> = whole
        .map(|stream| format!("`{}` is a complete run, not a shard", stream.path.display()))
        .collect();
    let problems = if whole.is_empty() { strangers(complete.iter().chain(cut)) } else { whole };
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Shards of another plan or run than the first one.
fn strangers<'s>(streams: impl Iterator<Item = &'s Stream>) -> Vec<String> {
    let mut shards = streams.filter_map(|stream| Some((stream, stream.shard.as_ref()?)));
    let Some((first, of_first)) = shards.next() else { return Vec::new() };
    let paths =
        |stream: &Stream| format!("`{}` and `{}`", first.path.display(), stream.path.display());
    let told = |shard: &Shard| format!("{} shards, plan {}", shard.shards, shard.plan);
    let stranger = |(stream, shard): (&Stream, &Shard)| {
        if (shard.shards, &shard.plan) != (of_first.shards, &of_first.plan) {
            return Some(format!(
                "{} are shards of different plans: {}; and {} (other tests, metadata, flags or durations)",
                paths(stream),
                told(of_first),
                told(shard)
            ));
        }
        match (&of_first.pipeline, &shard.pipeline) {
            (Some(one), Some(other)) if one != other => {
                Some(format!("{} are shards of different runs: {one} and {other}", paths(stream)))
            }
            _ => None,
        }
    };
    shards.filter_map(stranger).collect()
}

/// Shards that no file has, or that are incomplete.
fn missing(complete: &[Stream], cut: &[Stream]) -> Vec<String> {
    let known = complete.iter().chain(cut).find_map(|stream| stream.shard.as_ref());
    let Some(known) = known else {
        return vec!["no file has the result of a shard".to_owned()];
    };
    let is_it = |stream: &&Stream, shard| stream.shard.as_ref().is_some_and(|of| of.shard == shard);
    let is_there = |shard| complete.iter().any(|stream| is_it(&stream, shard));
    let missing = (1..=known.shards).filter(|shard| !is_there(*shard));
    let problems = missing.flat_map(|shard| match cut.iter().find(|stream| is_it(stream, shard)) {
        Some(stream) => incomplete(stream),
        None => vec![format!("shard {shard}/{} is missing: no file has it", known.shards)],
    });
    problems.collect()
}

/// What is wrong with a shard that has not run all of its tests.
fn incomplete(stream: &Stream) -> Vec<String> {
    let (name, path) = (stream.name(), stream.path.display());
    let ran: BTreeSet<Name> = ran(stream).collect();
    let planned = stream.shard.iter().flat_map(planned);
    let holes: Vec<Name> = planned.filter(|test| !ran.contains(test)).collect();
    let hole =
        |(id, _): &Name| format!("no shard has run `{id}`, which belongs to {name} (`{path}`)");
    match stream.finished() {
        Some(finished) if !finished.interrupted => bounded(holes.iter().map(hole).collect()),
        _ => {
            let ids: Vec<String> = holes.iter().map(|(id, _)| format!("`{id}`")).collect();
            let holes = match ids.len() {
                0 => String::new(),
                _ => format!("; not run: {}", bounded(ids).join(", ")),
            };
            let trouble = stream.trouble().unwrap_or_default();
            vec![format!("{name} is incomplete: {trouble}{holes}")]
        }
    }
}

/// Shards and tests that are there twice.
fn twice(complete: &[Stream]) -> Vec<String> {
    let mut problems = Vec::new();
    for pair in complete.windows(2) {
        let [one, other] = pair else { continue };
        let number = |stream: &Stream| stream.shard.as_ref().map(|shard| shard.shard);
        if number(one) == number(other) {
            let (name, one, other) = (one.name(), one.path.display(), other.path.display());
            problems.push(format!("{name} appears twice: in `{one}` and `{other}`"));
        }
    }
    if !problems.is_empty() {
        return problems;
    }
    let mut seen: BTreeMap<Name, &Stream> = BTreeMap::new();
    for stream in complete {
        for name in ran(stream) {
            if let Some(first) = seen.insert(name.clone(), stream) {
                problems.push(format!(
                    "`{}` was run twice: by {} (`{}`) and {} (`{}`)",
                    name.0,
                    first.name(),
                    first.path.display(),
                    stream.name(),
                    stream.path.display()
                ));
            }
        }
    }
    bounded(problems)
}

/// Tests that belong to no shard, or to another one.
fn strays(complete: &[Stream]) -> Vec<String> {
    let mut problems = Vec::new();
    let shards = || complete.iter().filter_map(|stream| Some((stream, stream.shard.as_ref()?)));
    let all: usize = shards().map(|(_, shard)| planned(shard).count()).sum();
    for (stream, shard) in shards() {
        let (name, path) = (stream.name(), stream.path.display());
        let planned: BTreeSet<Name> = planned(shard).collect();
        let strays = ran(stream).filter(|test| !planned.contains(test));
        problems
            .extend(strays.map(|(id, _)| format!("`{id}` in `{path}` does not belong to {name}")));
        let expected = planned.len() + shard.in_other_shards;
        if expected != all {
            problems.push(format!(
                "`{path}` reports {expected} tests in all, but the shards have {all}"
            ));
        }
    }
    bounded(problems)
}

/// The tests that belong to a shard.
fn planned(shard: &Shard) -> impl Iterator<Item = Name> {
    shard.binaries.iter().flat_map(|binary| {
        binary.tests.iter().map(|test| (format!("{}::{test}", binary.id), binary.kind.clone()))
    })
}

/// The tests that have a verdict.
fn ran(stream: &Stream) -> impl Iterator<Item = Name> {
    stream.lines.iter().filter_map(|line| match line {
        Line::Test(test) => Some((test.id.clone(), test.kind.clone())),
        _ => None,
    })
}

/// As many as anybody reads.
fn bounded(mut problems: Vec<String>) -> Vec<String> {
    const MOST: usize = 20;
    if problems.len() > MOST {
        let more = problems.len() - MOST;
        problems.truncate(MOST);
        problems.push(format!("and {more} more"));
    }
    problems
}
