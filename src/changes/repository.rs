//! The git repository of a workspace, asked through the `git` program.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::config::diagnostic::nearest;
use crate::error::{Error, Result};

/// Variables that bind git to a repository. git sets them for its hooks, and relative paths in them
/// hold for one directory only: the repository is the one that the workspace is in.
const OF_REPOSITORY: [&str; 5] =
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"];

/// A working tree.
pub struct Repository {
    top: PathBuf,
    is_shallow: bool,
}

impl Repository {
    /// The one that this directory is in.
    pub fn of(dir: &Path) -> Result<Repository> {
        let output = git(dir, ["rev-parse", "--is-shallow-repository", "--show-toplevel"])?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            let reason = match why.contains("not a git repository") {
                true => format!("`{}` is in no git repository", dir.display()),
                false => first_line(&why),
            };
            return Err(Error::usage(format!(
                "cannot tell what has changed: {reason}; `--changed` compares a working tree with a commit: choose packages with `-p` instead"
            )));
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (is_shallow, top) = text.split_once('\n').unwrap_or_default();
        Ok(Repository {
            top: top.trim_end_matches(['\n', '\r']).into(),
            is_shallow: is_shallow == "true",
        })
    }

    /// The absolute paths that differ between the working tree and the commit where the current
    /// branch left `rev`: changed, added, deleted, both names of renamed ones, and untracked ones.
    /// A submodule or a repository within this one is one path.
    pub fn changed_since(&self, rev: &str) -> Result<Vec<PathBuf>> {
        let base = self.base(rev)?;
        let diff = [
            "diff",
            "--name-only",
            "-z",
            "--no-renames",
            "--no-ext-diff",
            "--ignore-submodules=none",
        ];
        let tracked = self.ask(diff.into_iter().chain([base.as_str(), "--"]))?;
        let untracked = self.ask(["ls-files", "-z", "--others", "--exclude-standard"])?;
        let names = [tracked, untracked];
        let names = names.iter().flat_map(|names| names.split(|byte| *byte == 0));
        let mut paths: Vec<PathBuf> =
            names.filter(|name| !name.is_empty()).map(|name| self.top.join(path(name))).collect();
        paths.sort_unstable();
        paths.dedup();
        Ok(paths)
    }

    /// The tree to compare with.
    fn base(&self, rev: &str) -> Result<String> {
        let Some(head) = self.commit("HEAD")? else {
            // Before the first commit, everything is new.
            return match rev {
                "HEAD" => self.line(["hash-object", "-t", "tree", "--stdin"]),
                _ => Err(self.unknown(rev)),
            };
        };
        if rev == "HEAD" {
            return Ok(head);
        }
        let Some(commit) = self.commit(rev)? else { return Err(self.unknown(rev)) };
        let output = git(&self.top, ["merge-base", commit.as_str(), head.as_str()])?;
        let base = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match base.is_empty() {
            false => Ok(base),
            true => Err(Error::usage(match self.is_shallow {
                true => format!(
                    "this clone is too shallow to know where the current branch left `{rev}`: {DEEPEN}"
                ),
                false => format!(
                    "`{rev}` and the current branch have no commit in common, so `--changed={rev}` has nothing to compare with"
                ),
            })),
        }
    }

    fn commit(&self, rev: &str) -> Result<Option<String>> {
        if rev.is_empty() || rev.starts_with('-') {
            return Ok(None);
        }
        let rev = format!("{rev}^{{commit}}");
        let output = git(&self.top, ["rev-parse", "--verify", "--quiet", rev.as_str()])?;
        let commit = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Some(commit).filter(|commit| output.status.success() && !commit.is_empty()))
    }

    /// The error for a revision that does not exist here.
    fn unknown(&self, rev: &str) -> Error {
        let names = self.ask(["for-each-ref", "--format=%(refname:short)"]).unwrap_or_default();
        let names = String::from_utf8_lossy(&names).into_owned();
        let near = nearest(rev, names.lines());
        let help = match near {
            Some(near) => format!("did you mean `--changed={near}`?"),
            None if self.is_shallow => format!("this clone is shallow: {DEEPEN}"),
            None => format!(
                "a filter goes before the flag (`cargo partest {rev} --changed`), and so does a command"
            ),
        };
        Error::usage(format!(
            "`--changed`: there is no revision `{rev}` in this repository: {help}"
        ))
    }

    fn line<'w>(&self, words: impl IntoIterator<Item = &'w str>) -> Result<String> {
        let bytes = self.ask(words)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    fn ask<'w>(&self, words: impl IntoIterator<Item = &'w str>) -> Result<Vec<u8>> {
        let output = git(&self.top, words)?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(Error::usage(format!(
                "git cannot tell what has changed: {}",
                first_line(&String::from_utf8_lossy(&output.stderr))
            ))),
        }
    }
}

/// What to do about a shallow clone.
const DEEPEN: &str = "fetch its history with `git fetch --unshallow`, or clone all of it (`fetch-depth: 0` for actions/checkout, `GIT_DEPTH: 0` in GitLab)";

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or("it printed no reason");
    line.strip_prefix("fatal: ").unwrap_or(line).to_owned()
}

fn git<'w>(dir: &Path, words: impl IntoIterator<Item = &'w str>) -> Result<Output> {
    let mut command = Command::new("git");
    command.current_dir(dir).args(words.into_iter().map(OsStr::new)).stdin(Stdio::null());
    for name in OF_REPOSITORY {
        command.env_remove(name);
    }
    // Messages are looked at, and another git that works here at the same time is not disturbed.
    command.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0");
    command.output().map_err(|source| {
        Error::usage(format!(
            "cannot start `git`, which tells `--changed` what has changed: {source}; install it, or choose packages with `-p`"
        ))
    })
}

/// A path as git prints it.
#[cfg(unix)]
fn path(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn path(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}
