//! Secrets that a sender hands over by itself: where they are kept, and what is known already.

use std::sync::Arc;

use super::{Context, auth::Secrets};
use crate::{
    config::raw::auth::{Handshake, Kind, Rule},
    stages::{authenticate::Keys, schemes::Named},
    state::learned::{Keepsake, Kept},
};

/// The name of such a secret in the log and for the application.
const NAME: &str = "learned";

impl Context<'_> {
    /// Where the source's secret is kept, if its sender hands one over. A confirmed one joins the others.
    pub(super) fn learned(&mut self, source: &str, secrets: &mut Secrets) -> Option<Keepsake> {
        let written = self.written;
        let learns = |rule: &&Handshake| {
            rule.learn.is_some() && rule.only_with.as_ref().is_none_or(|switch| self.switched_on(&switch.value))
        };
        let learn = written.handshake.iter().find(learns)?.learn.as_ref()?;
        let Some(kept) = &self.raw.learned else {
            let help = "add `[learned]` with a `directory`, or put the secret into `secrets` and learn none";
            self.error(&learn.key, "there is no place to keep a secret that the sender hands over", help);
            return None;
        };
        if let Some(secret) = written.secrets.first() {
            let help = "leave `secrets` out, or learn none";
            self.error(&secret.key, "the source has a secret, and learns one", help);
            return None;
        }
        let keepsake = Keepsake::new(&self.surroundings.root.join(&kept.directory.value), source);
        match keepsake.read() {
            Ok(Kept::Confirmed(key)) => secrets.push(Named { name: Arc::from(NAME), until: None, key }),
            Ok(Kept::Nothing) => self.awaited = true,
            Ok(Kept::Pending(_)) => {
                self.awaited = true;
                let help = format!("look at it with `hooksieve secrets`, then `hooksieve secrets confirm {source} …`");
                self.warn(&learn.key, "a secret was handed over and waits to be confirmed", help);
            }
            Err(error) => {
                let message = format!("what is kept of this source's secret cannot be read: {error}");
                self.error(&kept.directory.key, message, "the gateway's user must be able to read and write there");
            }
        }
        Some(keepsake)
    }

    /// The keys of a rule whose secret is not here yet.
    pub(super) fn awaits(&mut self, rule: &Rule) -> Option<Keys> {
        match rule.kind.value {
            Kind::Hmac | Kind::Digest | Kind::Token => Some(Keys::Awaited),
            Kind::None => Some(Keys::Pinned),
            Kind::Basic | Kind::Ed25519 | Kind::Ecdsa | Kind::Rsa | Kind::Jwt | Kind::Jws => {
                let help = "write `secrets` or `keys` for this rule";
                self.error(&rule.kind.key, "only shared secrets are learned", help);
                None
            }
        }
    }
}
