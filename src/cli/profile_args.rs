//! The flag that chooses a profile, as typed.

use clap::Args as ClapArgs;

#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Running")]
pub struct ProfileArgs {
    /// Override the settings with those of [workspace.metadata.partest.profile.NAME] in Cargo.toml
    /// [env: PARTEST_PROFILE]
    #[arg(long, value_name = "NAME", global = true, hide_short_help = true)]
    pub profile_partest: Option<String>,
}

/// The profile of a run, and what named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileChoice {
    pub name: String,
    pub origin: &'static str,
}

impl ProfileArgs {
    /// The profile of this run. A run that a test starts is about another project, and does not
    /// inherit that of the outer one.
    pub fn choice(&self) -> Option<ProfileChoice> {
        let is_nested = std::env::var_os("PARTEST_RUN_ID").is_some();
        let variable = || std::env::var("PARTEST_PROFILE").ok().filter(|name| !name.is_empty());
        match &self.profile_partest {
            Some(name) => Some(ProfileChoice { name: name.clone(), origin: "--profile-partest" }),
            None if is_nested => None,
            None => variable().map(|name| ProfileChoice { name, origin: "PARTEST_PROFILE" }),
        }
    }
}
