//! Looks for the mistake: tries every hypothesis, and pairs of them when no single one explains anything.

use serde::Serialize;

use super::{
    case::{Bench, Case, Known, Standing},
    hypotheses::{self, About, Idea, demand::apart},
};

/// Trials after which pairs are given up.
const TRIALS_MAX: usize = 20_000;

/// How many explanations are told; the others are variations of them.
const TOLD_MAX: usize = 3;

/// What the search came to.
#[derive(Debug, Default, Serialize)]
pub(super) struct Search {
    /// What would make the request right, likelier first.
    pub(super) causes: Vec<Cause>,
    /// How many ways it could have been were tried.
    pub(super) tried: usize,
}

/// A mistake, or two made together, without which the request is right: proved by trying.
#[derive(Debug, Serialize)]
pub(super) struct Cause {
    /// The names of the mistakes.
    pub(super) mistakes: Vec<&'static str>,
    /// What was done wrong.
    pub(super) causes: Vec<String>,
    /// What to do about it, one for each.
    pub(super) remedies: Vec<String>,
}

/// Looks for mistakes in a request that is refused. A handshake has a secret to be wrong, and nothing else that another
/// request would not be answered for.
pub(super) fn search(bench: &mut Bench<'_>, case: &Case, known: &Known, is_handshake: bool) -> Search {
    let mut searcher = Searcher { base: bench.judge(case).0, bench, known, search: Search::default() };
    if searcher.base < Standing::Admitted {
        searcher.singles(case, is_handshake);
        if searcher.search.causes.is_empty() && !is_handshake {
            searcher.pairs(case);
        }
    }
    searcher.search
}

struct Searcher<'b, 'a> {
    bench: &'b mut Bench<'a>,
    known: &'b Known,
    base: Standing,
    search: Search,
}

impl Searcher<'_, '_> {
    fn singles(&mut self, case: &Case, is_handshake: bool) {
        for hypothesis in hypotheses::all().filter(|it| !is_handshake || it.about == About::Secret) {
            for idea in (hypothesis.ideas)(case, self.known) {
                if let Some(found) = self.attempt(&idea.case) {
                    self.tell(vec![hypothesis.name], [&idea], found);
                    break;
                }
            }
            if self.search.causes.len() == TOLD_MAX {
                return;
            }
        }
    }

    /// The first pair that explains it. Ideas that differ in the request alone share their settings, so they are cheap.
    fn pairs(&mut self, case: &Case) {
        for (index, first) in hypotheses::all().enumerate() {
            for idea in (first.ideas)(case, self.known) {
                for second in hypotheses::all().skip(index + 1).filter(|second| first.about.goes_with(second.about)) {
                    for other in (second.ideas)(&idea.case, self.known) {
                        if self.search.tried >= TRIALS_MAX {
                            return;
                        }
                        if let Some(found) = self.attempt(&other.case) {
                            self.tell(vec![first.name, second.name], [&idea, &other], found);
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Whether things would be better so, and with which secret.
    fn attempt(&mut self, case: &Case) -> Option<(Standing, Option<String>)> {
        self.search.tried += 1;
        Some(self.bench.judge(case)).filter(|(standing, _)| *standing > self.base)
    }

    fn tell<const N: usize>(
        &mut self,
        mistakes: Vec<&'static str>,
        ideas: [&Idea; N],
        found: (Standing, Option<String>),
    ) {
        let (standing, key) = found;
        let secrets = &self.known.secrets;
        let matched = secrets.iter().find(|(name, _)| Some(name) == key.as_ref()).or_else(|| secrets.first());
        let secret = matched.map_or("the secret", |(_, place)| place.as_str());
        let mut causes: Vec<_> = ideas.iter().map(|idea| idea.wrong.clone()).collect();
        let mut remedies: Vec<_> = ideas.iter().map(|idea| idea.remedy.replace("<secret>", secret)).collect();
        if standing == Standing::Untimely {
            let age = self.known.signed_at.map(|then| format!(": it is {}", apart(then, ideas[N - 1].case.now)));
            causes.push(format!(
                "the signature is then right, and its time is outside of the tolerance{}",
                age.unwrap_or_default()
            ));
            remedies.push("if the request was captured earlier, say when with `--now`".to_owned());
        }
        self.search.causes.push(Cause { mistakes, causes, remedies });
    }
}
