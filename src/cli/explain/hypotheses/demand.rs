//! Mistakes with what is demanded besides a right signature: when, under which conditions, with which fixed headers.

use jiff::Timestamp;

use super::{About, Hypothesis, Idea};
use crate::{
    cli::explain::case::{Case, Known, place},
    config::raw::auth::{Condition, Unit},
};

pub(super) const ALL: &[Hypothesis] = &[
    Hypothesis {
        name: "clock",
        about: About::Demand,
        mistake: "a clock that is wrong, a request that waited or was sent again, or a capture explained later",
        remedy: "set the clocks; for a capture, say when it was made with `--now`",
        ideas: clock,
    },
    Hypothesis {
        name: "time_unit",
        about: About::Demand,
        mistake: "the time read as seconds where it is milliseconds or a date, or the reverse",
        remedy: "set `time.unit`",
        ideas: units,
    },
    Hypothesis {
        name: "condition",
        about: About::Demand,
        mistake: "the signature is right, and what `require` demands besides does not hold",
        remedy: "compare `require`, and the settings it mentions, with the request",
        ideas: conditions,
    },
    Hypothesis {
        name: "fixed_header",
        about: About::Demand,
        mistake: "the signature is right, and a header of `require_headers` is missing or another",
        remedy: "compare `require_headers` with what the sender is told to send",
        ideas: |case, _| {
            let idea = |name: &crate::config::Header| {
                let mut other = case.clone();
                let source = other.source_mut().require_headers.remove(name)?;
                let wrong = format!("the signature is right, and the header {} is not as demanded", name.0);
                let remedy = format!("enter the header at the sender, or change {}", place(&source.key));
                Some(Idea::new(other, wrong, remedy))
            };
            case.source().require_headers.keys().filter_map(idea).collect()
        },
    },
    Hypothesis {
        name: "rule_not_applied",
        about: About::Demand,
        mistake: "no rule applies, because `when` does not hold",
        remedy: "compare `when` with the request",
        ideas: unapplied,
    },
];

fn clock(case: &Case, known: &Known) -> Vec<Idea> {
    let idea = |signed_at| {
        let mut other = case.clone();
        other.now = signed_at;
        let wrong = format!("the signature is right, and its time is {}", apart(signed_at, case.now));
        let remedy = "if it was captured earlier, say when with `--now`; if it came just now, set the clock of the sender \
                      or of this machine, and look for what holds requests back or sends old ones again; the tolerance \
                      is `time.past` and `time.future` of the rule";
        Idea::new(other, wrong, remedy)
    };
    known.signed_at.map(idea).into_iter().collect()
}

/// How far a time is from now, in words.
pub(in crate::cli::explain) fn apart(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs();
    let (days, rest) = (seconds.unsigned_abs() / 86_400, seconds.unsigned_abs() % 86_400);
    let units = [(days, "d"), (rest / 3600, "h"), (rest / 60 % 60, "min"), (rest % 60, "s")];
    let first = units.iter().position(|(count, _)| *count > 0).unwrap_or(units.len() - 1);
    let words: Vec<_> = units[first..].iter().take(2).map(|(count, unit)| format!("{count} {unit}")).collect();
    format!("{} {} now", words.join(" "), if seconds < 0 { "after" } else { "before" })
}

fn units(case: &Case, _: &Known) -> Vec<Idea> {
    let known = [
        (Unit::Seconds, "s", "seconds"),
        (Unit::Milliseconds, "ms", "milliseconds"),
        (Unit::Rfc3339, "rfc3339", "a date"),
    ];
    let key = case.source().auth.iter().find_map(|rule| rule.time.as_ref()).map(|time| place(&time.unit.key));
    let idea = |(unit, word, means): (Unit, &str, &str)| {
        let other = case.with_rules(|rule| {
            let Some(time) = &mut rule.time else { return false };
            let is_new = time.unit.value != unit;
            time.unit.value = unit;
            is_new
        })?;
        let remedy = format!("write `unit = \"{word}\"` at {}", key.clone().unwrap_or_default());
        Some(Idea::new(other, format!("the time is in {means}"), remedy))
    };
    known.into_iter().filter_map(idea).collect()
}

/// Each condition of `require` alone, and then all of them.
fn conditions(case: &Case, _: &Known) -> Vec<Idea> {
    let mut ideas = Vec::new();
    for (index, rule) in case.source().auth.iter().enumerate() {
        for (number, condition) in rule.require.iter().enumerate() {
            let mut other = case.clone();
            other.source_mut().auth[index].require.0.remove(number);
            let (said, at) = described(condition);
            let wrong = format!("the signature is right, but {said}: the rule demands otherwise (`require`)");
            ideas.push(Idea::new(other, wrong, mend(condition, &at)));
        }
        if rule.require.len() > 1 {
            let mut other = case.clone();
            other.source_mut().auth[index].require.0.clear();
            let wrong = "the signature is right, but several things are not as the rule demands (`require`)";
            let remedy = format!("compare the request with `require` of {}", place(&rule.at));
            ideas.push(Idea::new(other, wrong, remedy));
        }
    }
    ideas
}

fn unapplied(case: &Case, _: &Known) -> Vec<Idea> {
    let source = case.source();
    let idea = |index: usize| {
        let rule = source.auth.get(index).filter(|rule| !rule.when.is_empty())?;
        let mut other = case.clone();
        let mut alone = rule.clone();
        alone.when.0.clear();
        other.source_mut().auth = vec![alone];
        let said: Vec<_> = rule.when.iter().map(|condition| described(condition).0).collect();
        let wrong = format!("the signature is right for a rule that does not apply (`when`): {}", said.join(", or "));
        Some(Idea::new(other, wrong, format!("compare the request with `when` of {}", place(&rule.at))))
    };
    (0..source.auth.len()).filter_map(idea).collect()
}

/// What is wrong when a condition does not hold (never a value), and where it stands.
fn described(condition: &Condition) -> (String, String) {
    let (said, one) = match condition {
        Condition::Any(any) => {
            let (said, at): (Vec<_>, Vec<_>) = any.iter().map(described).unzip();
            return (said.join(", and "), at.into_iter().next().unwrap_or_default());
        }
        Condition::Present(one) => (format!("`{}` is absent", one.value.0), one),
        Condition::Absent(one) => (format!("`{}` is there", one.value.0), one),
        Condition::Equal(one, _) => (format!("`{}` has another value", one.value.0), one),
        Condition::InList(one, setting) => {
            (format!("`{}` has a value that the setting `{}` lacks", one.value.0, setting.value), one)
        }
        Condition::Same(one, other) => (format!("`{}` and `{}` differ", one.value.0, other.value.0), one),
        Condition::Matches(one, _) => (format!("`{}` has another shape", one.value.0), one),
    };
    (said, place(&one.key))
}

/// What to do where a condition of `require` does not hold.
fn mend(condition: &Condition, at: &str) -> String {
    match condition {
        Condition::Same(one, other) if [one, other].iter().any(|part| part.value.0.starts_with("body")) => {
            format!("the body is another one than was signed, and no change that is tried here explains how: see {at}")
        }
        Condition::Absent(_)
        | Condition::Any(_)
        | Condition::Equal(..)
        | Condition::InList(..)
        | Condition::Matches(..)
        | Condition::Present(_)
        | Condition::Same(..) => format!("compare the request with {at}, and with the settings that it mentions"),
    }
}
