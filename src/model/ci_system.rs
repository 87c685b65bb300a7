//! The CI systems whose logs a run writes for.

/// A system that reads more in a log than its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CiSystem {
    GitHub,
    GitLab,
    Buildkite,
    TeamCity,
    Azure,
}

/// The variable that each sets in its jobs.
pub const CI_VARIABLES: [(&str, CiSystem); 5] = [
    ("GITHUB_ACTIONS", CiSystem::GitHub),
    ("GITLAB_CI", CiSystem::GitLab),
    ("BUILDKITE", CiSystem::Buildkite),
    ("TEAMCITY_VERSION", CiSystem::TeamCity),
    ("TF_BUILD", CiSystem::Azure),
];

impl CiSystem {
    /// The system that this process runs in, by the values of its variables.
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Option<CiSystem> {
        let is_set = |name: &str| {
            let value = variable(name).unwrap_or_default().to_lowercase();
            !["", "0", "false"].contains(&&*value)
        };
        CI_VARIABLES.iter().find(|(name, _)| is_set(name)).map(|(_, system)| *system)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_known_by_its_variable_and_ci_alone_is_none() {
        let found = |name: &str, value: &str| {
            CiSystem::detect(|asked| (asked == name).then(|| value.to_owned()))
        };
        assert_eq!(found("GITHUB_ACTIONS", "true"), Some(CiSystem::GitHub));
        assert_eq!(found("TF_BUILD", "True"), Some(CiSystem::Azure));
        assert_eq!(found("TEAMCITY_VERSION", "2026.1 (build 1)"), Some(CiSystem::TeamCity));
        assert_eq!(found("GITLAB_CI", "false"), None);
        assert_eq!(found("BUILDKITE", ""), None);
        assert_eq!(found("CI", "true"), None);
    }
}
