//! Paths in the target directory that are compiled into executables, by `env!`.

use std::io;
use std::path::{Path, PathBuf};

use cargo_metadata::{Message, TargetKind};

/// A variable that cargo sets when it compiles a test, to a path in the target directory.
pub struct PathVariable {
    pub name: String,
    path: PathBuf,
}

/// Those of a build: one for each program, and that of the directory for temporary files.
pub fn path_variables(messages: &[Message], target_dir: &Path) -> Vec<PathVariable> {
    let programs = messages.iter().filter_map(|message| {
        let Message::CompilerArtifact(artifact) = message else { return None };
        let is_program = artifact.target.kind.contains(&TargetKind::Bin) && !artifact.profile.test;
        let path = artifact.executable.clone().filter(|_| is_program)?;
        let name = format!("CARGO_BIN_EXE_{}", artifact.target.name);
        Some(PathVariable { name, path: path.into() })
    });
    let tmpdir =
        PathVariable { name: "CARGO_TARGET_TMPDIR".to_owned(), path: target_dir.join(TMP) };
    programs.chain([tmpdir]).collect()
}

/// The name of the directory for temporary files, in the target directory.
pub const TMP: &str = "tmp";

/// Those whose paths are in this executable.
pub fn compiled_into<'v>(
    executable: &Path,
    variables: &'v [PathVariable],
) -> io::Result<Vec<&'v str>> {
    let bytes = std::fs::read(executable)?;
    let is_in = |variable: &&PathVariable| {
        memchr::memmem::find(&bytes, variable.path.as_os_str().as_encoded_bytes()).is_some()
    };
    Ok(variables.iter().filter(is_in).map(|variable| variable.name.as_str()).collect())
}
