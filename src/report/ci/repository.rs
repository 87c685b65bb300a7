//! Where a source file is in its repository.

use std::path::{Path, PathBuf};

use crate::report::failure_summary::SourcePlace;

/// Paths from a workspace to the repository that it is in.
#[derive(Debug)]
pub struct Repository {
    workspace: PathBuf,
    root: PathBuf,
}

impl Repository {
    /// The repository of a workspace: the nearest folder with a `.git`. Without one, it is what the
    /// CI system has checked out, or the workspace itself.
    pub fn of(workspace: &Path, checkout: Option<PathBuf>) -> Repository {
        let workspace = workspace.canonicalize().unwrap_or_else(|_| workspace.to_owned());
        let with_git = workspace.ancestors().find(|folder| folder.join(".git").exists());
        let checkout = checkout.and_then(|checkout| checkout.canonicalize().ok());
        let checkout = checkout.filter(|checkout| workspace.starts_with(checkout));
        let root = with_git.map(Path::to_owned).or(checkout).unwrap_or_else(|| workspace.clone());
        Repository { workspace, root }
    }

    /// A place by its path from the root of the repository, if it is in a file there.
    pub fn place(&self, place: &SourcePlace) -> Option<SourcePlace> {
        let path = self.workspace.join(&place.path).canonicalize().ok()?;
        let inside = path.strip_prefix(&self.root).ok().filter(|_| path.is_file())?;
        let parts: Vec<&str> = inside.iter().map(|part| part.to_str()).collect::<Option<_>>()?;
        Some(SourcePlace { path: parts.join("/"), ..place.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_from_the_root_of_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = folder.path().join("repository/rust");
        std::fs::create_dir_all(workspace.join("src")).unwrap();
        std::fs::write(workspace.join("src/lib.rs"), "").unwrap();
        std::fs::write(folder.path().join("outside.rs"), "").unwrap();
        let path = |checkout: Option<&str>, place: &str| {
            let checkout = checkout.map(|checkout| folder.path().join(checkout));
            let repository = Repository::of(&workspace, checkout);
            let place = repository.place(&SourcePlace::parse(place).unwrap())?;
            Some(place.to_string())
        };
        assert_eq!(path(None, "src/lib.rs:3:4").unwrap(), "src/lib.rs:3:4");
        assert_eq!(path(Some("."), "src/lib.rs:3:4").unwrap(), "repository/rust/src/lib.rs:3:4");
        assert_eq!(path(Some("elsewhere"), "src/lib.rs:3").unwrap(), "src/lib.rs:3");
        std::fs::create_dir(folder.path().join("repository/.git")).unwrap();
        assert_eq!(path(Some("."), "src/lib.rs:3:4").unwrap(), "rust/src/lib.rs:3:4");
        let absolute = format!("{}/src/lib.rs:3", workspace.display());
        assert_eq!(path(None, &absolute).unwrap(), "rust/src/lib.rs:3");
        for strange in ["../../outside.rs:1", "src/none.rs:1", "src:1", "/rustc/a/library/a.rs:1"] {
            assert_eq!(path(None, strange), None, "{strange}");
        }
    }
}
