//! Conditions: from words to what is looked at.

use regex::bytes::Regex;

use super::Context;
use crate::{
    config::raw::{auth::Condition as Written, secret::SettingValue},
    stages::template::Condition,
};

impl Context<'_> {
    /// Conditions that must all hold.
    pub(super) fn conditions(&mut self, written: &[Written]) -> Option<Vec<Condition>> {
        let conditions: Vec<_> = written.iter().map(|condition| self.condition(condition)).collect();
        conditions.into_iter().collect()
    }

    fn condition(&mut self, written: &Written) -> Option<Condition> {
        Some(match written {
            Written::Any(conditions) => Condition::Any(self.conditions(conditions)?),
            Written::Present(selector) => Condition::Present(self.selector(selector)?),
            Written::Absent(selector) => Condition::Absent(self.selector(selector)?),
            Written::Same(one, other) => Condition::Same(self.selector(one)?, self.selector(other)?),
            Written::Matches(selector, shape) => {
                let compiled = Regex::new(&format!("^(?:{})$", shape.value.0)).map_err(|error| {
                    let help = "look-around and back-references are not supported";
                    self.error(&shape.key, format!("this is not a regular expression: {error}"), help);
                });
                Condition::Matches(self.selector(selector)?, compiled.ok()?)
            }
            Written::Equal(selector, value) => Condition::Equal(self.selector(selector)?, value.value.to_string()),
            Written::InList(selector, setting) => {
                let Some(SettingValue::List(values)) = self.settings.get(&setting.value).map(|at| &at.value) else {
                    self.error(
                        &setting.key,
                        format!("there is no list `{}` in `settings`", setting.value),
                        "add it there",
                    );
                    return None;
                };
                let values = values.iter().map(|value| value.value.to_string()).collect();
                Condition::OneOf(self.selector(selector)?, values)
            }
        })
    }
}
