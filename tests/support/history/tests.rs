//! The checker must be able to fail: each of these histories breaks one invariant.

use super::*;

fn event(id: u8) -> Event {
    Event { id: id.to_string(), group: id % 2, bytes: format!("{{{id}}}") }
}

fn received(request: usize, ids: &[u8]) -> Step {
    Step::Received { request, events: ids.iter().map(|id| event(*id)).collect(), rejected: false }
}

fn sent(request: usize, body: &str, number: u32) -> Step {
    let webhook_id = format!("id of {body}");
    Step::Sent(Attempt {
        request,
        body: body.into(),
        idempotency_key: webhook_id.clone(),
        webhook_id,
        number,
        received_at: "1".into(),
    })
}

fn ended(attempt: usize, delivered: bool) -> Step {
    Step::Ended { attempt, delivered }
}

fn answered(request: usize, status: u16) -> Step {
    Step::Answered { request, status }
}

#[track_caller]
fn check(steps: &[(u64, Step)], want: &[&str]) {
    let steps = steps.iter().map(|(time, step)| (Duration::from_secs(*time), step.clone())).collect();
    let history = History::sync(Duration::from_secs(10), Duration::from_secs(100), steps);
    let history = History { is_over: false, ..history };
    let broken = history.violations();
    assert_eq!(broken.iter().map(|(name, _)| *name).collect::<Vec<_>>(), want, "{broken:?}");
}

fn at_once(steps: Vec<Step>) -> Vec<(u64, Step)> {
    steps.into_iter().map(|step| (0, step)).collect()
}

/// One event, delivered and answered.
fn good() -> Vec<Step> {
    vec![received(0, &[1]), sent(0, "{1}", 1), ended(0, true), answered(0, 200)]
}

#[test]
fn what_is_right_passes() {
    check(&at_once(good()), &[]);
    let retried = [sent(0, "{1}", 1), ended(0, false), answered(0, 502), received(1, &[1]), sent(1, "{1}", 2)];
    let steps = [&[received(0, &[1])][..], &retried, &[ended(1, true), answered(1, 200)]].concat();
    check(&at_once(steps), &[]);
    let array = vec![received(0, &[1, 2, 3]), sent(0, "[{1},{3}]", 1), ended(0, false), answered(0, 503)];
    check(&at_once(array), &[]);
    let mut forgotten: Vec<_> = at_once(good());
    forgotten.extend([(100, received(1, &[1])), (100, sent(1, "{1}", 1)), (100, ended(1, true))]);
    check(&forgotten, &[]);
    check(&at_once(vec![Step::Forged { request: 0, status: 401, unchanged: true }]), &[]);
}

#[test]
fn i_01_i_02_a_false_acknowledgement() {
    check(&at_once(vec![received(0, &[1]), answered(0, 200)]), &["I1"]);
    let early = vec![received(0, &[1]), sent(0, "{1}", 1), answered(0, 200), ended(0, true)];
    check(&at_once(early), &["I1"]);
    let failed = vec![received(0, &[1]), sent(0, "{1}", 1), ended(0, false), answered(0, 200)];
    check(&at_once(failed), &["I1"]);
    let half = vec![received(0, &[1, 2]), sent(0, "{1}", 1), ended(0, true), answered(0, 200)];
    check(&at_once(half), &["I1"]);
    let mut forgotten = at_once(good());
    forgotten.extend([(100, received(1, &[1])), (100, answered(1, 200))]);
    check(&forgotten, &["I2"]);
}

#[test]
fn i_04_i_05_i_06_too_many_attempts() {
    let twice = vec![received(0, &[1]), received(1, &[1]), sent(0, "{1}", 1), sent(1, "{1}", 1), ended(0, false)];
    check(&at_once(twice), &["I4"]);
    let again = [good(), vec![received(1, &[1]), sent(1, "{1}", 1), ended(1, true), answered(1, 200)]].concat();
    check(&at_once(again), &["I5", "I6"]);
    // The late one settled nothing, so a second attempt was in order; the third was not.
    let steps = [
        (0, received(0, &[1])),
        (0, sent(0, "{1}", 1)),
        (11, received(1, &[1])),
        (11, sent(1, "{1}", 1)),
        (12, ended(0, true)),
        (12, ended(1, true)),
        (13, received(2, &[1])),
        (13, answered(2, 200)),
    ];
    check(&steps, &[]);
    check(&[&steps[..7], &[(13, sent(2, "{1}", 1)), (13, ended(2, true))]].concat(), &["I5", "I6"]);
}

#[test]
fn i_07_i_08_other_bytes_and_inventions() {
    check(&at_once(vec![received(0, &[1]), sent(0, "{1} ", 1)]), &["I7"]);
    for body in ["[{1},{1}]", "[{2},{1}]", "[{1}, {2}]", "[{1},{2}", "[]"] {
        check(&at_once(vec![received(0, &[1, 2]), sent(0, body, 1)]), &["I7"]);
    }
    check(&at_once(vec![sent(7, "{1}", 1)]), &["I8"]);
}

#[test]
fn i_09_identities() {
    let amended = |amend: &dyn Fn(&mut Attempt), id: u8, body: &str, want: &[&str]| {
        let mut second = sent(1, body, 2);
        if let Step::Sent(attempt) = &mut second {
            amend(attempt);
        }
        let first = [received(0, &[1]), sent(0, "{1}", 1), ended(0, false)];
        check(&at_once([&first[..], &[received(1, &[id]), second]].concat()), want);
    };
    amended(&|_| (), 1, "{1}", &[]);
    amended(&|attempt| attempt.idempotency_key.push('x'), 1, "{1}", &["I9"]);
    amended(&|attempt| attempt.number = 1, 1, "{1}", &["I9"]);
    amended(&|attempt| attempt.received_at = "2".into(), 1, "{1}", &["I9"]);
    let renamed = |attempt: &mut Attempt, name: &str| {
        (attempt.webhook_id, attempt.idempotency_key) = (name.to_owned(), name.to_owned());
    };
    amended(&|attempt| renamed(attempt, "other"), 1, "{1}", &["I9"]);
    amended(&|attempt| renamed(attempt, "id of {1}"), 2, "{2}", &["I9"]);
}

#[test]
fn i_15_a_rejected_batch() {
    let rejected = Step::Received { request: 0, events: vec![event(1)], rejected: true };
    check(&at_once(vec![rejected.clone(), answered(0, 400)]), &[]);
    check(&at_once(vec![rejected.clone(), sent(0, "{1}", 1)]), &["I15"]);
    let steps = vec![rejected, sent(0, "{1}", 1), ended(0, true), answered(0, 200)];
    check(&at_once(steps), &["I15", "I15"]);
}

#[test]
fn i_16_i_19_forgeries_and_quiet_duplicates() {
    check(&at_once(vec![Step::Forged { request: 0, status: 401, unchanged: false }]), &["I16"]);
    check(&at_once(vec![Step::Forged { request: 0, status: 200, unchanged: true }]), &["I16"]);
    check(&at_once([good(), vec![received(1, &[1]), answered(1, 503)]].concat()), &["I19"]);
}

fn kept(ids: &[u8], is_new: bool) -> Step {
    let kept = |id: &u8| Kept { body: event(*id).bytes, is_aside: false, is_new, is_late: false };
    Step::Kept(ids.iter().map(kept).collect())
}

/// As [`check`], of events that are delivered from the journal, and in their order.
#[track_caller]
fn check_queued(steps: Vec<Step>, want: &[&str]) {
    let steps = steps.into_iter().map(|step| (Duration::ZERO, step)).collect();
    let history = History::sync(Duration::from_secs(10), Duration::from_secs(100), steps);
    let broken = History { is_queued: true, is_ordered: true, ..history }.violations();
    assert_eq!(broken.iter().map(|(name, _)| *name).collect::<Vec<_>>(), want, "{broken:?}");
}

#[test]
fn i_10_d_40_what_the_journal_took() {
    let taken = || vec![received(0, &[1]), kept(&[1], true), answered(0, 202)];
    let delivered = || vec![sent(0, "{1}", 1), ended(0, true)];
    check_queued([taken(), delivered()].concat(), &[]);
    check_queued(taken(), &["I10"]);
    check_queued([taken(), vec![Step::Died("{1}".into())]].concat(), &[]);
    let twice = [taken(), vec![received(1, &[1]), kept(&[1], true)], delivered()].concat();
    check_queued(twice, &["D-40"]);
    let again = [taken(), vec![received(1, &[1]), kept(&[1], false), answered(1, 200)], delivered()].concat();
    check_queued(again, &[]);
    let after = |step: Step| [taken(), delivered(), vec![step, sent(0, "{1}", 2), ended(1, true)]].concat();
    check_queued(after(Step::Crashed), &[]);
    check_queued(after(Step::Restarted), &["I5", "I6"]);
}

#[test]
fn i_02_d_40_after_the_window() {
    // The window is over after the first acceptance; what comes then comes at 200 s.
    let check = |before: Vec<Step>, after: Vec<Step>, want: &[&str]| {
        let steps = before.into_iter().map(|step| (Duration::ZERO, step));
        let steps = steps.chain(after.into_iter().map(|step| (Duration::from_secs(200), step))).collect();
        let history = History::sync(Duration::from_secs(10), Duration::from_secs(100), steps);
        let broken = History { is_queued: true, ..history }.violations();
        assert_eq!(broken.iter().map(|(name, _)| *name).collect::<Vec<_>>(), want, "{broken:?}");
    };
    let taken = || vec![received(0, &[1]), kept(&[1], true), answered(0, 202)];
    let delivered = |attempt| vec![sent(0, "{1}", 1), ended(attempt, true), Step::Decided("{1}".into())];
    let is_duplicate = || vec![received(1, &[1]), answered(1, 202)];
    let is_new = || vec![received(1, &[1]), kept(&[1], true), answered(1, 202)];
    check(taken(), [is_duplicate(), delivered(0)].concat(), &[]);
    check(taken(), [is_new(), delivered(0)].concat(), &["D-40"]);
    check([taken(), delivered(0)].concat(), is_duplicate(), &["I2"]);
    check([taken(), delivered(0)].concat(), is_new(), &[]);
    // The application got it, and the process died before it had noted that: both are right.
    let unmarked = || [taken(), vec![sent(0, "{1}", 1), ended(0, true), Step::Crashed]].concat();
    check(unmarked(), is_duplicate(), &[]);
    check(unmarked(), is_new(), &[]);
}

#[test]
fn i_14_nobody_overtakes() {
    let taken = || vec![received(0, &[1, 2, 3]), kept(&[1, 2, 3], true), answered(0, 202)];
    let one = |attempt, body: &str| vec![sent(0, body, 1), ended(attempt, true)];
    check_queued([taken(), one(0, "{2}"), one(1, "{1}"), one(2, "{3}")].concat(), &[]);
    check_queued([taken(), one(0, "{3}"), one(1, "{2}"), one(2, "{1}")].concat(), &["I14"]);
    let dead = [taken(), vec![Step::Died("{1}".into())], one(0, "{3}"), one(1, "{2}")].concat();
    check_queued(dead, &[]);
}
