//! Selectors and templates: from text to what runs, and what one says about another.

use std::collections::BTreeMap;

use super::Context;
use crate::{
    config::{At, Key, raw::secret::SettingValue},
    stages::{
        json::{Path, Pointer},
        selector::{Place, Selector},
        template::Template,
    },
};

impl Context<'_> {
    /// A selector; an error is reported at its place.
    pub(super) fn selector(&mut self, written: &At<crate::config::Selector>) -> Option<Selector> {
        let parsed = Selector::parse(&written.value.0, &|name| self.setting(name));
        let selector = parsed.map_err(|problem| self.error(&written.key, problem, SELECTORS)).ok()?;
        self.keeps_secret([&selector], &written.key).then_some(selector)
    }

    /// All selectors of a list.
    pub(super) fn selectors(&mut self, written: &[At<crate::config::Selector>]) -> Option<Vec<Selector>> {
        let selectors: Vec<_> = written.iter().map(|selector| self.selector(selector)).collect();
        selectors.into_iter().collect()
    }

    /// A template; an error is reported at its place.
    pub(super) fn template(&mut self, written: &At<crate::config::Template>) -> Option<Template> {
        let template = self.template_with_secret(written)?;
        self.keeps_secret(template.selectors(), &written.key).then_some(template)
    }

    /// A template for something that is hashed and never sent.
    pub(super) fn template_with_secret(&mut self, written: &At<crate::config::Template>) -> Option<Template> {
        let parsed = Template::parse(&written.value.0, &|name| self.setting(name));
        parsed.map_err(|problem| self.error(&written.key, problem, SELECTORS)).ok()
    }

    /// A template for something that is sent to the sender itself, over `https` to an address of the configuration or of
    /// a list: settings that are secrets may stand in it.
    pub(super) fn template_for_the_sender(&mut self, written: &At<crate::config::Template>) -> Option<Template> {
        let mut secrets = BTreeMap::new();
        for (name, setting) in self.settings {
            if let SettingValue::Secret(source) = &setting.value {
                let secret = self.surroundings.vault(true).one(source, self.found)?;
                secrets.insert(name.clone(), String::from_utf8(secret.expose().to_vec()).ok()?);
            }
        }
        let setting = |name: &str| self.setting(name).or_else(|| secrets.get(name).cloned());
        let parsed = Template::parse(&written.value.0, &setting);
        let template = parsed.map_err(|problem| self.error(&written.key, problem, SELECTORS)).ok()?;
        self.keeps_secret(template.selectors(), &written.key).then_some(template)
    }

    fn keeps_secret<'s>(&mut self, selectors: impl IntoIterator<Item = &'s Selector>, key: &Key) -> bool {
        let tells = selectors.into_iter().any(Selector::tells_secret);
        if tells {
            self.error(key, "the secret has no place here", "`secret` stands only in the `message` of a `digest`");
        }
        !tells
    }

    /// A JSON pointer.
    pub(super) fn pointer(&mut self, written: &At<crate::config::Pointer>) -> Option<Pointer> {
        let parsed = Pointer::parse(&written.value.0);
        parsed.map_err(|fault| self.error(&written.key, fault.to_string(), "for example \"/data/id\"")).ok()
    }

    /// A JSON pointer with `*` in it.
    pub(super) fn path(&mut self, written: &At<crate::config::Pointer>) -> Option<Path> {
        let parsed = Path::parse(&written.value.0);
        parsed.map_err(|fault| self.error(&written.key, fault.to_string(), "for example \"/data/*/id\"")).ok()
    }

    /// A setting's text.
    fn setting(&self, name: &str) -> Option<String> {
        match &self.settings.get(name)?.value {
            SettingValue::Plain(plain) => Some(plain.to_string()),
            SettingValue::List(_) | SettingValue::Secret(_) => None,
        }
    }

    /// Whether a setting is given, and neither `false` nor an empty list.
    pub(super) fn switched_on(&self, name: &str) -> bool {
        match self.settings.get(name).map(|setting| &setting.value) {
            Some(SettingValue::List(values)) => !values.is_empty(),
            Some(SettingValue::Plain(value)) => value.to_string() != "false",
            Some(SettingValue::Secret(_)) => true,
            None => false,
        }
    }
}

const SELECTORS: &str = "selectors are `header:N`, `query:N`, `form:N`, `json:/pointer`, `raw:/pointer`, `sig.K`, `setting:N`, `method`, \
                         `url`, `path`, `raw_query`, `body`, `claim:/pointer`, `kid`, with transforms such as `|hex` after them";

/// Whether a signature over `part` also covers `wanted`.
pub(super) fn is_part_of(wanted: &Selector, part: &Selector) -> bool {
    if let Place::Joined(template) = &wanted.place {
        return template.selectors().all(|wanted| is_part_of(wanted, part));
    }
    let in_body = matches!(
        wanted.place,
        Place::Form(_) | Place::Json(_) | Place::Name(..) | Place::Raw(_) | Place::Whole(_) | Place::Body
    );
    let in_url = matches!(wanted.place, Place::Query(_) | Place::RawQuery | Place::Path);
    wanted.place == part.place
        || (in_body && part.binds_body())
        || (in_url && matches!(part.place, Place::Url))
        || (matches!(wanted.place, Place::Query(_)) && part.place == Place::RawQuery)
        || wanted.is_fixed()
        || matches!(&wanted.place, Place::Header(name) if part.lists_header(name))
}
