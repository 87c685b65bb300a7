//! Annotations: a line of the log that the CI system shows at a line of the source.

use crate::model::ci_system::CiSystem;
use crate::report::failure_summary::SourcePlace;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Error,
    Warning,
}

/// What is shown at a line of the source, or for the whole job if the place is not known.
#[derive(Debug, PartialEq)]
pub struct Annotation {
    pub level: Level,
    pub title: String,
    pub message: String,
    /// Relative to the repository.
    pub place: Option<SourcePlace>,
}

impl Annotation {
    /// The line of a log, if this system reads annotations there.
    pub fn line(&self, system: CiSystem) -> Option<String> {
        match system {
            CiSystem::GitHub => Some(self.workflow_command()),
            CiSystem::Azure => Some(self.logging_command()),
            CiSystem::GitLab | CiSystem::Buildkite | CiSystem::TeamCity => None,
        }
    }

    fn level(&self) -> &'static str {
        match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        }
    }

    /// `::error file=src/lib.rs,line=7,col=9,title=shop::opens::message`
    fn workflow_command(&self) -> String {
        let property = |text: &str| github_data(text).replace(':', "%3A").replace(',', "%2C");
        let place = self.place.iter().map(|SourcePlace { path, line, column }| {
            let column = column.map(|column| format!(",col={column}")).unwrap_or_default();
            format!("file={},line={line}{column},", property(path))
        });
        let (level, title) = (self.level(), property(&self.title));
        let place: String = place.collect();
        format!("::{level} {place}title={title}::{}\n", github_data(&self.message))
    }

    /// `##vso[task.logissue type=error;sourcepath=src/lib.rs;linenumber=7;columnnumber=9]message`
    fn logging_command(&self) -> String {
        let property = |text: &str| azure_data(text).replace(']', "%5D").replace(';', "%3B");
        let place = self.place.iter().map(|SourcePlace { path, line, column }| {
            let column = column.map(|column| format!(";columnnumber={column}")).unwrap_or_default();
            format!(";sourcepath={};linenumber={line}{column}", property(path))
        });
        let place: String = place.collect();
        // There is no title.
        let message = azure_data(&format!("{}: {}", self.title, self.message));
        format!("##vso[task.logissue type={}{place}]{message}\n", self.level())
    }
}

fn github_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn azure_data(text: &str) -> String {
    text.replace('%', "%AZP25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotation() -> Annotation {
        Annotation {
            level: Level::Error,
            title: "shop::a, 100%]".to_owned(),
            message: "50%: a, b;\r\nc]".to_owned(),
            place: SourcePlace::parse("src/a,b:c.rs:7:9"),
        }
    }

    #[test]
    fn what_ends_a_property_is_escaped() {
        let github = annotation().line(CiSystem::GitHub).unwrap();
        let expected = "::error file=src/a%2Cb%3Ac.rs,line=7,col=9,\
            title=shop%3A%3Aa%2C 100%25]::50%25: a, b;%0D%0Ac]\n";
        assert_eq!(github, expected);
        let azure = annotation().line(CiSystem::Azure).unwrap();
        let expected = "##vso[task.logissue type=error;sourcepath=src/a,b:c.rs;linenumber=7;\
            columnnumber=9]shop::a, 100%AZP25]: 50%AZP25: a, b;%0D%0Ac]\n";
        assert_eq!(azure, expected);
    }

    #[test]
    fn without_a_place_it_is_about_the_job() {
        let about_the_job = Annotation { place: None, level: Level::Warning, ..annotation() };
        let line = about_the_job.line(CiSystem::GitHub).unwrap();
        assert!(line.starts_with("::warning title=shop%3A%3Aa%2C"), "{line}");
        assert_eq!(annotation().line(CiSystem::GitLab), None);
    }
}
