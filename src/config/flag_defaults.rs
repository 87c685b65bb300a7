//! Defaults for the command line: keys that have the names of its flags.

use super::diagnostic::suggestion;
use super::flags::{Takes, Wrong};
use super::value::{At, Reader, Value, integer};

/// The default of one flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlagDefault {
    /// As if it had not been given, whatever another table says.
    Off,
    /// Given this often, without a value.
    On(usize),
    Values(Vec<String>),
}

impl Reader<'_> {
    /// Reads the default of this flag.
    pub(super) fn flag(
        &mut self,
        name: &str,
        takes: Takes,
        value: &Value<'_>,
    ) -> Option<FlagDefault> {
        let inner = value.get_ref();
        let text = || inner.as_str().map(str::to_owned);
        let number = || inner.as_integer().map(|number| number.as_str().to_owned());
        let switch =
            inner.as_bool().map(|on| if on { FlagDefault::On(1) } else { FlagDefault::Off });
        let found = match takes {
            Takes::Nothing => switch,
            Takes::Count => switch.or_else(|| integer(value).map(FlagDefault::On)),
            Takes::Value => text().or_else(number).map(|one| FlagDefault::Values(vec![one])),
            Takes::MaybeValue => {
                switch.or_else(|| text().or_else(number).map(|one| FlagDefault::Values(vec![one])))
            }
            Takes::Values => match inner.as_array() {
                Some(list) => {
                    let texts = list.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
                    texts.collect::<Option<Vec<_>>>().map(FlagDefault::Values)
                }
                None => text().map(|one| FlagDefault::Values(vec![one])),
            },
        };
        let Some(found) = found else {
            let wanted = match takes {
                Takes::Nothing => "true or false",
                Takes::Count => "true, false or a number",
                Takes::Value => "a string or a number, as the flag takes it",
                Takes::MaybeValue => "true, false, or the flag's value as a string",
                Takes::Values => "a list of strings",
            };
            self.wants(value, name, wanted);
            return None;
        };
        if let FlagDefault::Values(values) = &found {
            let check = self.flags.check;
            let wrong = values.iter().find_map(|one| Some((one, check(name, one).err()?)));
            if let Some((one, wrong)) = wrong {
                let title = format!("invalid value `{one}` for `{name}`");
                let help = match &wrong {
                    Wrong::OneOf(known) => {
                        suggestion(one, &known.iter().map(String::as_str).collect::<Vec<_>>())
                    }
                    Wrong::Because(why) => why.clone(),
                };
                self.wrong(value.span(), title, help);
                return None;
            }
        }
        Some(found)
    }
}

/// The defaults of one table.
pub type FlagDefaults = Vec<(At<String>, FlagDefault)>;
