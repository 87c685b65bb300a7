//! The flags for a run on several machines, as typed.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::shard_variables;
use crate::model::shard::Shard;

#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Several machines")]
pub struct ShardArgs {
    /// Run part I of N of the tests; auto: I and N from the variables of the CI system; auto/N: only I
    #[arg(
        long,
        value_name = "I/N",
        visible_alias = "partition",
        global = true,
        hide_short_help = true,
        value_parser = parse
    )]
    pub shard: Option<ShardChoice>,
    /// Balance shards by the durations in this file, which `merge` and runs without --shard write
    #[arg(long, value_name = "PATH", global = true, hide_short_help = true)]
    pub durations_file: Option<PathBuf>,
}

#[derive(Debug, Clone, ClapArgs)]
pub struct MergeArgs {
    /// Output of each shard with `--message-format json`
    #[arg(value_name = "FILES", required = true)]
    pub files: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardChoice {
    pub shard: Shard,
    /// Whether it was found in variables.
    pub is_auto: bool,
}

/// `2/5`, `auto`, `auto/5`, or one of nextest's forms: `count:2/5`, `hash:2/5`, `slice:2/5`.
fn parse(text: &str) -> Result<ShardChoice, String> {
    let text = ["count:", "hash:", "slice:"]
        .iter()
        .find_map(|kind| text.strip_prefix(kind).filter(|rest| !rest.starts_with("auto")))
        .unwrap_or(text);
    let lookup = |name: &str| std::env::var(name).ok();
    let auto = |total| {
        let shard = shard_variables::resolve(total, &lookup)?;
        Ok(ShardChoice { shard, is_auto: true })
    };
    match text.split_once('/') {
        None if text == "auto" => auto(None),
        Some(("auto", total)) => auto(Some(number(total)?)),
        Some((index, total)) => {
            let shard = Shard { index: number(index)?, total: number(total)? };
            match shard.index <= shard.total {
                true => Ok(ShardChoice { shard, is_auto: false }),
                false => Err(format!(
                    "there is no shard {shard}: the last one of {0} is {0}/{0}",
                    shard.total
                )),
            }
        }
        None => Err(EXPECTED.to_owned()),
    }
}

const EXPECTED: &str =
    "expected I/N, such as 2/5 for the second of five shards, `auto` or `auto/N`";

fn number(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("shards are numbered from 1".to_owned()),
        Ok(number) if number <= shard_variables::MOST => Ok(number),
        Ok(_) => Err(format!("more than {} shards are not supported", shard_variables::MOST)),
        Err(_) => Err(EXPECTED.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_written_as_ours_or_as_those_of_nextest() {
        let second = Ok(ShardChoice { shard: Shard { index: 2, total: 5 }, is_auto: false });
        for text in ["2/5", "count:2/5", "hash:2/5", "slice:2/5"] {
            assert_eq!(parse(text), second, "{text}");
        }
        for (text, why) in [
            ("0/5", "numbered from 1"),
            ("1/0", "numbered from 1"),
            ("6/5", "the last one of 5 is 5/5"),
            ("2", "expected I/N"),
            ("a/b", "expected I/N"),
            ("-1/5", "expected I/N"),
            ("1/5/5", "expected I/N"),
            ("random:1/5", "expected I/N"),
            ("", "expected I/N"),
            ("1/99999999", "more than"),
            ("auto/x", "expected I/N"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
