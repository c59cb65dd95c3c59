//! How things are, and how they could have been: settings, request and time in one value that hypotheses change, and the
//! bench that tries it with the real language and the real authenticator.

use std::{path::Path, rc::Rc};

use jiff::Timestamp;

use crate::{
    app,
    cli::documents::Documents,
    clock::{Clock, SystemClock},
    config::{
        At, Configuration, Diagnostics, Environment, Key, Origin,
        compile::{Surroundings, compile},
        diagnostics::Diagnostic,
        raw::{
            Raw,
            auth::{Kind, Rule},
            secret::SecretPlace,
            source::Source as Written,
        },
        secrets::Vault,
    },
    gateway::source::{Entry, Source},
    presets,
    secret::Secret,
    stages::{receive::Received, words::Refusal},
};

/// One way things could have been.
#[derive(Clone)]
pub(super) struct Case {
    /// The words of the configuration, with this one source in it.
    raw: Rc<Raw>,
    /// The request.
    pub(super) request: Received,
    /// The time at which it is judged.
    pub(super) now: Timestamp,
}

/// What is made of a case, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It is refused, or the settings cannot even be used.
    Refused,
    /// The credential is right, and the time in it is not.
    Untimely,
    /// It is admitted.
    Admitted,
}

/// What is known besides the case itself.
pub(super) struct Known {
    /// Where each secret of the source is, by its name.
    pub(super) secrets: Vec<(String, String)>,
    /// The secrets of other sources, by the sources' names.
    pub(super) others: Vec<(String, Secret)>,
    /// What stood before the path, where the capture has whole URLs.
    pub(super) origin: Option<String>,
    /// When the request says it was signed, where it does.
    pub(super) signed_at: Option<Timestamp>,
    /// The same with each other scheme of the preset, by the schemes' names.
    pub(super) schemes: Vec<(String, Case)>,
}

/// Tries cases.
pub(super) struct Bench<'a> {
    /// The keys at hand that senders publish.
    documents: &'a Documents,
    configuration: Configuration,
    environment: &'a Environment,
    root: &'a Path,
    /// The last settings that were compiled: most cases differ in the request alone.
    compiled: Option<(Rc<Raw>, Option<Source>)>,
}

impl Case {
    /// The source as it is written.
    pub(super) fn source(&self) -> &Written {
        self.raw.sources.entries.values().next().expect("a case has its source")
    }

    /// The source, to be changed.
    pub(super) fn source_mut(&mut self) -> &mut Written {
        self.raw_mut().sources.entries.values_mut().next().expect("a case has its source")
    }

    /// The whole file, to be changed.
    pub(super) fn raw_mut(&mut self) -> &mut Raw {
        Rc::make_mut(&mut self.raw)
    }

    /// The whole file.
    pub(super) fn raw(&self) -> &Raw {
        &self.raw
    }

    /// Every secret of the source, to be changed.
    pub(super) fn secrets_mut(&mut self) -> impl Iterator<Item = &mut Secret> {
        let source = self.source_mut();
        let of_rules = source.auth.iter_mut().flat_map(|rule| rule.secrets.0.iter_mut());
        let of_handshakes = source.handshake.iter_mut().flat_map(|rule| rule.secrets.0.iter_mut());
        source.secrets.0.iter_mut().chain(of_rules).chain(of_handshakes).filter_map(|secret| match &mut secret.place {
            SecretPlace::Value(value) => Some(&mut value.value),
            SecretPlace::Env(_) | SecretPlace::File(_) => None,
        })
    }

    /// The same with a change to every rule for which `change` makes one; nothing when it makes none.
    pub(super) fn with_rules(&self, mut change: impl FnMut(&mut Rule) -> bool) -> Option<Self> {
        let mut case = self.clone();
        let mut changed = false;
        for rule in &mut case.source_mut().auth {
            changed |= change(rule);
        }
        changed.then_some(case)
    }

    /// The same with another body.
    pub(super) fn with_body(&self, body: impl Into<bytes::Bytes>) -> Self {
        let mut case = self.clone();
        case.request.body = body.into();
        case
    }

    /// The same without what neither authentication nor, where they are asked for, handshakes look at: it would cost
    /// each trial time.
    pub(super) fn bare(&self, with_handshakes: bool) -> Self {
        let mut case = self.clone();
        let source = case.source_mut();
        (source.schema, source.limit) = (None, None);
        if !with_handshakes {
            source.handshake.clear();
        }
        case
    }

    /// The same without authentication, so that one sees what later steps would say.
    pub(super) fn let_in(&self) -> Self {
        let mut case = self.clone();
        let source = case.source_mut();
        source.auth.truncate(1);
        for rule in &mut source.auth {
            rule.kind.value = Kind::None;
            rule.each = None;
            rule.when.0.clear();
            rule.require.0.clear();
            rule.secrets.0.clear();
            rule.keys = None;
        }
        source.require_headers.clear();
        source.allow_unauthenticated.value = true;
        case
    }
}

impl<'a> Bench<'a> {
    /// A bench for the sources of a configuration that was read without errors.
    pub(super) fn new(
        mut configuration: Configuration,
        environment: &'a Environment,
        root: &'a Path,
        documents: &'a Documents,
    ) -> Self {
        configuration.diagnostics = Diagnostics::default();
        Self { documents, configuration, environment, root, compiled: None }
    }

    /// How things are with the source `name`. Nothing when there is none, or a secret cannot be fetched.
    pub(super) fn case(&self, name: &str, mut raw: Raw, request: &Received, now: Timestamp) -> Option<(Case, Known)> {
        let vault = Vault { environment: self.environment, directory: self.root, allow_weak: true };
        let mut known =
            Known { secrets: Vec::new(), others: Vec::new(), origin: None, signed_at: None, schemes: Vec::new() };
        let mut own = raw.sources.entries.remove(name)?;
        for (of, source) in &mut raw.sources.entries {
            for secret in &source.secrets.0 {
                known.others.push((of.clone(), vault.one(secret, &mut Diagnostics::default())?));
            }
        }
        let of_rules = own.auth.iter_mut().map(|rule| &mut rule.secrets.0);
        let of_handshakes = own.handshake.iter_mut().map(|rule| &mut rule.secrets.0);
        for list in std::iter::once(&mut own.secrets.0).chain(of_rules).chain(of_handshakes) {
            for (index, secret) in list.iter_mut().enumerate() {
                let name = secret.name.as_ref().map_or_else(|| (index + 1).to_string(), |name| name.value.clone());
                known.secrets.push((name, whereabouts(&secret.place)));
                let value = vault.one(secret, &mut Diagnostics::default())?;
                secret.place = SecretPlace::Value(At { value, key: secret.key.clone() });
            }
        }
        own.allow_weak_secret.value = true;
        raw.sources.entries = [(name.to_owned(), own)].into();
        raw.upstreams.entries.values_mut().for_each(|upstream| upstream.sign = None);
        Some((Case { raw: Rc::new(raw), request: request.clone(), now }, known))
    }

    /// The source of a case as it would run; nothing when its settings cannot be used.
    pub(super) fn source(&mut self, case: &Case) -> Option<&Source> {
        if !self.compiled.as_ref().is_some_and(|(raw, _)| Rc::ptr_eq(raw, &case.raw)) {
            let source = self.compile((*case.raw).clone());
            self.compiled = Some((case.raw.clone(), source));
        }
        self.compiled.as_ref()?.1.as_ref()
    }

    /// What is made of a case, and with which secret.
    pub(super) fn judge(&mut self, case: &Case) -> (Standing, Option<String>) {
        let documents = self.documents;
        let Some(source) = self.source(case) else { return (Standing::Refused, None) };
        let (published, _) = documents.published(&source.wants(&case.request, case.now));
        match source.enter_with(case.request.clone().into(), &published, case.now) {
            Entry::Admitted(authentic, _) => (Standing::Admitted, Some(authentic.key().to_string())),
            Entry::Greeted(_) => (Standing::Admitted, None),
            Entry::Refused(Refusal::TimestampFuture | Refusal::TimestampStale, _) => (Standing::Untimely, None),
            Entry::Denied(..) | Entry::Refused(..) => (Standing::Refused, None),
        }
    }

    fn compile(&mut self, raw: Raw) -> Option<Source> {
        self.configuration.raw = Some(raw);
        let surroundings = Surroundings {
            root: self.root,
            environment: self.environment,
            schemas: &presets::schemas,
            strict: false,
            now: SystemClock.now().steady,
        };
        let (compiled, _) = compile(&self.configuration, &surroundings, &mut app::nowhere);
        compiled?.sources.into_iter().next()
    }
}

/// Where a secret is, in words.
fn whereabouts(place: &SecretPlace) -> String {
    match place {
        SecretPlace::Env(name) => format!("the environment variable {}", name.value),
        SecretPlace::File(path) => format!("the file {}", path.value.display()),
        SecretPlace::Value(value) => self::place(&value.key),
    }
}

/// Where a setting stands, in words: what somebody has to open in order to change it.
pub(super) fn place(key: &Key) -> String {
    let path = key.path();
    match key.origin() {
        Origin::Default => format!("`{path}`, which is not written yet"),
        Origin::Environment(name) => format!("the environment variable {name}"),
        Origin::Text { text, .. } if text.preset.is_some() => {
            let preset = text.preset.as_deref().unwrap_or_default();
            let mut parts = path.splitn(3, '.').skip(1);
            let (source, tail) = (parts.next().unwrap_or_default(), parts.next().unwrap_or(path));
            format!("`{tail}` of the preset {preset} (rules of your own, `[[sources.{source}.auth]]`, take its place)")
        }
        Origin::Text { text, .. } => {
            let position = Diagnostic::error(key, "").position();
            let position = position.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
            format!("`{path}` in {}{position}", text.name)
        }
    }
}
