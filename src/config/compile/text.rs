//! Selectors and templates: from text to what runs, and what one says about another.

use super::Context;
use crate::{
    config::{At, raw::secret::SettingValue},
    stages::{
        json::Pointer,
        selector::{Place, Selector},
        template::Template,
    },
};

impl Context<'_> {
    /// A selector; an error is reported at its place.
    pub(super) fn selector(&mut self, written: &At<crate::config::Selector>) -> Option<Selector> {
        let parsed = Selector::parse(&written.value.0, &|name| self.setting(name));
        parsed.map_err(|problem| self.error(&written.key, problem, SELECTORS)).ok()
    }

    /// All selectors of a list.
    pub(super) fn selectors(&mut self, written: &[At<crate::config::Selector>]) -> Option<Vec<Selector>> {
        let selectors: Vec<_> = written.iter().map(|selector| self.selector(selector)).collect();
        selectors.into_iter().collect()
    }

    /// A template; an error is reported at its place.
    pub(super) fn template(&mut self, written: &At<crate::config::Template>) -> Option<Template> {
        let parsed = Template::parse(&written.value.0, &|name| self.setting(name));
        parsed.map_err(|problem| self.error(&written.key, problem, SELECTORS)).ok()
    }

    /// A JSON pointer.
    pub(super) fn pointer(&mut self, written: &At<crate::config::Pointer>) -> Option<Pointer> {
        let parsed = Pointer::parse(&written.value.0);
        parsed.map_err(|fault| self.error(&written.key, fault.to_string(), "for example \"/data/id\"")).ok()
    }

    /// A setting's text.
    fn setting(&self, name: &str) -> Option<String> {
        match &self.settings.get(name)?.value {
            SettingValue::Plain(plain) => Some(plain.to_string()),
            SettingValue::List(_) | SettingValue::Secret(_) => None,
        }
    }

    /// Whether a setting is `true`.
    pub(super) fn switched_on(&self, name: &str) -> bool {
        self.setting(name).is_some_and(|value| value == "true")
    }
}

const SELECTORS: &str = "selectors are `header:N`, `query:N`, `json:/pointer`, `raw:/pointer`, `sig.K`, `setting:N`, `method`, \
                         `url`, `path`, `raw_query`, `body`, with transforms such as `|hex` after them";

/// Whether a signature over `part` also covers `wanted`.
pub(super) fn is_part_of(wanted: &Selector, part: &Selector) -> bool {
    let in_body = matches!(wanted.place, Place::Json(_) | Place::Raw(_) | Place::Body);
    let in_url = matches!(wanted.place, Place::Query(_) | Place::RawQuery | Place::Path);
    wanted.place == part.place
        || (in_body && part.place == Place::Body)
        || (in_url && matches!(part.place, Place::Url))
        || (matches!(wanted.place, Place::Query(_)) && part.place == Place::RawQuery)
        || matches!(wanted.place, Place::Text(_))
}
