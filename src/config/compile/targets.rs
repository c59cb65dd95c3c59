//! Upstreams: where events go, and how they are vouched for.

use std::sync::Arc;

use http::HeaderName;

use super::{Connect, Surroundings, Targets};
use crate::{
    config::{
        At, Diagnostics, Header,
        raw::{self, Raw},
    },
    gateway::source::Target,
    stages::vouch::{self, Voucher},
    upstream,
};

/// All upstreams, by name.
pub(super) fn targets(
    raw: &Raw,
    surroundings: &Surroundings<'_>,
    connect: &mut Connect<'_>,
    found: &mut Diagnostics,
) -> Targets {
    let mut targets = Targets::new();
    for (name, written) in &raw.upstreams.entries {
        let Some(voucher) = voucher(written, surroundings, found) else { continue };
        let settings = upstream::Settings {
            url: written.url.value.0.clone(),
            timeout: written.timeout.value,
            connect_timeout: written.connect_timeout.value,
            max_in_flight: written.max_in_flight.value.0 as usize,
            http2: written.http2.value,
        };
        match connect(name, settings) {
            Ok(upstream) => {
                let (timeout, max_in_flight) = (written.timeout.value, written.max_in_flight.value.0 as usize);
                let target = Target { name: Arc::from(name.as_str()), upstream, voucher, timeout, max_in_flight };
                targets.insert(name.clone(), Arc::new(target));
            }
            Err(problem) => {
                found.error_at(&written.url.key, problem, "see `[upstreams.NAME]` in docs/config-reference.md");
            }
        }
    }
    targets
}

fn voucher(written: &raw::Upstream, surroundings: &Surroundings<'_>, found: &mut Diagnostics) -> Option<Voucher> {
    let key = match &written.sign {
        None => None,
        Some(sign) => {
            let secret = surroundings.vault(false).one(sign, found)?;
            let key = vouch::signing_key(&secret).map_err(|problem| {
                found.error_at(
                    &sign.key,
                    format!("the secret cannot sign: {problem}"),
                    "write plain text, or `whsec_` and base64",
                );
            });
            Some(key.ok()?)
        }
    };
    let mut headers = Vec::new();
    for (name, value) in &written.headers {
        if vouch::never_passes(&name.0) {
            let message = format!("`{}` is the gateway's own to set", name.0);
            found.error_at(&value.key, message, "choose another name");
        } else {
            headers.push((name.0.clone(), value.value.clone()));
        }
    }
    let forward_headers = written.forward_headers.iter().filter_map(|name| passes(name, found)).collect();
    Some(Voucher { key, headers, forward_headers })
}

fn passes(name: &At<Header>, found: &mut Diagnostics) -> Option<HeaderName> {
    if vouch::never_passes(&name.value.0) {
        let message = format!("`{}` never passes", name.value.0);
        found.error_at(
            &name.key,
            message,
            "leave it out: it belongs to the connection, to credentials or to the gateway",
        );
        return None;
    }
    Some(name.value.0.clone())
}
