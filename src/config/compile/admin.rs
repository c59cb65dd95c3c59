//! The operator's door: where it is, and whom it lets in.

use std::path::{Path, PathBuf};

use super::{Surroundings, listen_on};
use crate::{
    admin::{Guard, Settings},
    config::{Configuration, Diagnostics, Environment, raw, secrets::Vault},
    secret::Secret,
    server::ListenOn,
    stages::schemes::token::Fingerprint,
};

/// What a command needs to know of the gateway that this configuration is for, and nothing of its sources: whoever is
/// called at night may not have their secrets at hand.
#[derive(Debug)]
pub struct Premises {
    /// The journal's file, if there is a journal.
    pub journal: Option<PathBuf>,
    /// Where the running gateway's admin door is.
    pub admin: ListenOn,
    /// What opens it. It may be unusable: that is a problem only for who needs it.
    pub token: Result<Option<Secret>, Diagnostics>,
}

/// Finds out about the premises of a configuration that was read, whatever is wrong with its sources.
#[must_use]
pub fn premises(configuration: &Configuration, environment: &Environment, root: &Path) -> Option<Premises> {
    let raw = configuration.raw.as_ref()?;
    let mut found = Diagnostics::default();
    let vault = Vault { environment, directory: root, allow_weak: false };
    let token = raw.admin.token.as_ref().map(|token| vault.one(token, &mut found));
    Some(Premises {
        journal: raw.journal.as_ref().map(|journal| root.join(&journal.path.value)),
        admin: listen_on(&raw.admin.listen.value),
        token: if found.has_errors() { Err(found) } else { Ok(token.flatten()) },
    })
}

/// The door. Off this machine it is never open to everybody (O-22).
pub(super) fn admin(written: &raw::Admin, surroundings: &Surroundings<'_>, found: &mut Diagnostics) -> Settings {
    let listen = listen_on(&written.listen.value);
    let token = written.token.as_ref().and_then(|token| surroundings.vault(false).one(token, found));
    if written.token.is_none()
        && let ListenOn::Tcp(address) = &listen
        && !address.ip().to_canonical().is_loopback()
    {
        let help = "write `admin.token = { env = \"ADMIN_TOKEN\" }`, or listen on \"127.0.0.1:9464\" or a Unix socket";
        let message = format!("everybody who reaches {address} could read and replay events");
        found.error_at(&written.listen.key, message, help);
    }
    let hosts = written.hosts.iter().map(|host| host.value.0.clone()).collect();
    Settings { listen, guard: Guard { hosts, token: token.as_ref().map(Fingerprint::of) } }
}
