//! Where the gateway goes by itself: from words to addresses and lists of them.

use std::sync::Arc;

use regex::Regex;

use super::{Context, auth::public_algorithm, jose::public_algorithms};
use crate::{
    config::{
        At, Host, Pattern,
        raw::auth::{Confirm, KeyDocument, Keys, Kind, Rule},
    },
    stages::{
        address::{Address, AllowList, Destination, HostPattern},
        json::Pointer,
        schemes::{
            key_set::{Form, Reading},
            published::Publisher,
        },
        template::{Piece, Template},
    },
};

impl Context<'_> {
    /// Where the keys of a rule are published.
    pub(super) fn publisher(&mut self, rule: &Rule, keys: &Keys) -> Option<Publisher> {
        let algorithms = match rule.kind.value {
            Kind::Rsa | Kind::Ecdsa | Kind::Ed25519 => {
                public_algorithm(rule).map(|algorithm| ("", algorithm)).into_iter().collect()
            }
            Kind::Jwt | Kind::Jws => public_algorithms(rule),
            Kind::Hmac | Kind::Digest | Kind::Token | Kind::Basic | Kind::None => Vec::new(),
        };
        if algorithms.is_empty() {
            self.error(&keys.at, "only public keys can be published", "write `secrets` instead of `keys`");
            return None;
        }
        if rule.each.is_some() {
            self.error(&keys.at, "`keys` and `each` do not go together", "write `secrets` instead of `keys`");
            return None;
        }
        let reading = self.reading(keys)?;
        let mut places = Vec::new();
        for url in keys.url.iter() {
            places.push(self.destination(url, &keys.hosts, keys.path.as_ref(), None)?);
        }
        if places.is_empty() {
            self.error(&keys.at, "it does not say where the keys are", "add `url = \"https://…\"`");
            return None;
        }
        let post = match &keys.post {
            Some(post) => Some(self.template_for_the_sender(post)?),
            None => None,
        };
        let networks: Arc<[_]> = keys.networks.iter().map(|network| network.value.0).collect();
        Some(Publisher { places, post, reading, names: patterns(&keys.names), algorithms, networks })
    }

    fn reading(&mut self, keys: &Keys) -> Option<Reading> {
        let form = match keys.form.value {
            KeyDocument::Jwk => Form::Jwk,
            KeyDocument::Jwks => Form::Jwks,
            KeyDocument::Pem => Form::Pem,
            KeyDocument::X509 => Form::X509,
        };
        if let Some(name) = keys.names.first().filter(|_| form != Form::X509) {
            self.error(&name.key, "only certificates have names", "leave `names` out, or write `form = \"x509\"`");
            return None;
        }
        if let Some(until) = keys.until.as_ref().filter(|_| !matches!(form, Form::Jwk | Form::Jwks)) {
            self.error(&until.key, "only JSON Web Keys say until when they are good", "leave `until` out");
            return None;
        }
        let until = match &keys.until {
            Some(pointer) => Some(self.pointer(pointer)?),
            None => None,
        };
        let at = if keys.pointer.value.0.is_empty() { Pointer::default() } else { self.pointer(&keys.pointer)? };
        if form == Form::X509 && !at.is_root() {
            self.error(&keys.pointer.key, "a certificate is the whole document", "leave `pointer` out");
            return None;
        }
        Some(Reading { form, at, until })
    }

    /// Where a handshake is confirmed.
    pub(super) fn confirmation(&mut self, confirm: &Confirm) -> Option<Destination> {
        self.destination(&confirm.url, &confirm.hosts, Some(&confirm.path), confirm.query.as_ref())
    }

    /// An address, or a list of them: whatever a request can change in one must be on a list (W-52).
    fn destination(
        &mut self,
        url: &At<crate::config::Template>,
        hosts: &[At<Host>],
        path: Option<&At<Pattern>>,
        query: Option<&At<Pattern>>,
    ) -> Option<Destination> {
        let template = self.template(url)?;
        if let Some(fixed) = constant(&template) {
            let address = Address::fixed(&fixed).map_err(|_| {
                let help =
                    "for example \"https://keys.example.com/jwks.json\": no user name, no escapes, no IP address";
                self.error(&url.key, format!("{fixed:?} is no `https` address of a host"), help);
            });
            return Some(Destination::Fixed(address.ok()?));
        }
        let Some(path) = path.filter(|_| !hosts.is_empty()) else {
            let help = "add `hosts = [\"keys.example.com\"]` and `path = '/certs/[a-z0-9]+\\.pem'`";
            self.error(&url.key, "a request can change this address, and no list says which are followed", help);
            return None;
        };
        let path = self.shape(path)?;
        let query = match query {
            Some(query) => Some(self.shape(query)?),
            None => None,
        };
        Some(Destination::Listed { url: template, list: AllowList { hosts: patterns(hosts), path, query } })
    }

    fn shape(&mut self, written: &At<Pattern>) -> Option<Regex> {
        let compiled = Regex::new(&format!("^(?:{})$", written.value.0)).map_err(|error| {
            let help = "look-around and back-references are not supported";
            self.error(&written.key, format!("this is not a regular expression: {error}"), help);
        });
        compiled.ok()
    }
}

fn patterns(hosts: &[At<Host>]) -> Vec<HostPattern> {
    hosts.iter().map(|host| host.value.0.clone()).collect()
}

/// The text of a template that no request can change.
fn constant(template: &Template) -> Option<String> {
    let pieces = template.pieces().iter().map(|piece| match piece {
        Piece::Literal(text) => Some(text.clone()),
        Piece::Value(selector) => selector.constant().map(str::to_owned),
    });
    pieces.collect()
}
