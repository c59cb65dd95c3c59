//! What is shown, as data: what is sent, and how it must end.

/// What one sender does.
pub(super) struct Scene {
    /// The source.
    pub(super) source: &'static str,
    /// Who that is.
    pub(super) about: &'static str,
    pub(super) acts: &'static [Act],
}

/// One line of the show.
pub(super) struct Act {
    /// What is sent, in words: at most 36 characters.
    pub(super) sent: &'static str,
    /// How it is made.
    pub(super) how: How,
    /// The status that must be answered.
    pub(super) status: u16,
    /// The reason that the log must give; where it gives none, what became of the request.
    pub(super) why: &'static str,
    /// How many requests the application must get.
    pub(super) got: usize,
}

/// How a request is made. The texts are event types; several make a batch.
#[derive(Clone, Copy)]
pub(super) enum How {
    /// Signed samples.
    Right(&'static [&'static str]),
    /// Byte for byte the request of the line before.
    Again,
    /// With a signature or token that looks right and is wrong.
    Forged(&'static str),
    /// Without any.
    Unsigned(&'static str),
    /// Signed, and afterwards without this header.
    Without(&'static str, &'static str),
    /// Signed long ago.
    Stale(&'static str),
    /// With one value that its schema does not allow.
    Misshapen(&'static [&'static str]),
    /// With an end too early.
    Cut(&'static str),
    /// With one text in it changed for another, then signed.
    Amended(&'static str, &'static str, &'static str),
    /// While the application answers 500, once.
    WhileDown(&'static str),
    /// While the application answers 500; then the gateway is stopped, and started again when the application is well.
    ThroughRestart(&'static str),
    /// Again and again, until it is enough: all right.
    Flood(&'static str),
    /// Again and again, until it is enough: all forged, from one address.
    Guess(&'static str),
    /// A recorded request with its RSA signature, or another body with the same signature.
    Recorded { is_changed: bool },
}

const fn act(sent: &'static str, how: How, status: u16, why: &'static str, got: usize) -> Act {
    Act { sent, how, status, why, got }
}

const TASK: &str = "action_task.actionable";

pub(super) const SHOW: &[Scene] = &[
    Scene {
        source: "cakewalk",
        about: "Cakewalk, HMAC over the body; batches; a test event that is answered here",
        acts: &[
            act("a task, signed", How::Right(&[TASK]), 200, "forward", 1),
            act("the same request again", How::Again, 200, "duplicate", 0),
            act("a batch: task, test event, task", How::Right(&[TASK, "test", TASK]), 200, "mixed", 2),
            act("the test event alone, unsigned", How::Unsigned("test"), 200, "handshake", 0),
            act("a task, unsigned", How::Unsigned(TASK), 401, "auth_missing", 0),
            act("a task, signature forged", How::Forged(TASK), 401, "auth_mismatch", 0),
            act("a batch with one misshapen task", How::Misshapen(&[TASK, TASK]), 200, "schema", 1),
            act("JSON that ends too early", How::Cut(TASK), 400, "not_json", 0),
        ],
    },
    Scene {
        source: "cakewalk_rsa",
        about: "Cakewalk's other scheme, RSA: a recorded request, for only Cakewalk can sign",
        acts: &[
            act("a task, signed with RSA", How::Recorded { is_changed: false }, 200, "forward", 1),
            act("that signature, another body", How::Recorded { is_changed: true }, 401, "auth_mismatch", 0),
        ],
    },
    Scene {
        source: "awork",
        about: "awork, a token in a header; too many errors and it pauses the webhook, so its events are queued",
        acts: &[
            act("project_added", How::Right(&["project_added"]), 202, "queue", 1),
            act("the same request again", How::Again, 200, "duplicate", 0),
            act("project_added, wrong token", How::Forged("project_added"), 401, "auth_mismatch", 0),
            act("timetracking_updated, an alias", How::Right(&["timetracking_updated"]), 202, "queue", 1),
            act("user_added, which nobody wants", How::Right(&["user_added"]), 200, "unwanted", 0),
            act("a misshapen event, set aside", How::Misshapen(&["project_added"]), 200, "schema", 0),
            act("an event; the application fails", How::WhileDown("task_changed"), 202, "queue", 2),
            act("one that waits through a restart", How::ThroughRestart("task_changed"), 202, "queue", 2),
            act("the same request again", How::Again, 200, "duplicate", 0),
        ],
    },
    Scene {
        source: "skillmine",
        about: "Skillmine Auth, an API key in a header; floods of logins",
        acts: &[
            act("USER_CREATED", How::Right(&["USER_CREATED"]), 200, "forward", 1),
            act("the same request again", How::Again, 200, "duplicate", 0),
            act("USER_CREATED, wrong key", How::Forged("USER_CREATED"), 401, "auth_mismatch", 0),
            act("USER_CREATED, no key", How::Unsigned("USER_CREATED"), 401, "auth_missing", 0),
            act("USER_DANCED, an unknown type", How::Right(&["USER_DANCED"]), 200, "forward", 1),
            act("a misshapen event", How::Misshapen(&["USER_CREATED"]), 422, "schema", 0),
            act("one whose application fails", How::WhileDown("USER_DELETED"), 502, "upstream_error", 1),
            act("Skillmine tries again", How::Again, 200, "forward", 1),
            act("USER_LOGIN until it is too much", How::Flood("USER_LOGIN"), 429, "rate_source", 0),
            act("LOGOUT meanwhile: its own budget", How::Right(&["LOGOUT"]), 200, "forward", 1),
        ],
    },
    Scene {
        source: "elan",
        about: "ELAN AI Bridge, HMAC and a custom header; one organization of several",
        acts: &[
            act("workflow.completed", How::Right(&["workflow.completed"]), 200, "forward", 1),
            act("the same request again", How::Again, 200, "duplicate", 0),
            act("workflow.failed, forged", How::Forged("workflow.failed"), 401, "auth_mismatch", 0),
            act("signed, custom header missing", How::Without("workflow.failed", "x-elan-env"), 401, "auth_missing", 0),
            act(
                "another organization's event",
                How::Amended("workflow.failed", "org_example", "org_other"),
                200,
                "tenant",
                0,
            ),
            act("a type that ELAN does not have", How::Right(&["workflow.paused"]), 200, "unknown_event_type", 0),
            act(
                "the same key twice in the JSON",
                How::Amended("workflow.failed", "\"event_id\":", "\"event_id\": \"evt_0\", \"event_id\":"),
                400,
                "duplicate_key",
                0,
            ),
            act("a guesser, until it is too much", How::Guess("workflow.failed"), 429, "rate_ip", 0),
            act("ELAN meanwhile", How::Right(&["workflow.started"]), 200, "forward", 1),
        ],
    },
    Scene {
        source: "acme",
        about: "A sender of one's own, described in ten lines: HMAC over time and body",
        acts: &[
            act("an event, signed", How::Right(&["order.paid"]), 200, "forward", 1),
            act("captured and replayed", How::Again, 200, "duplicate", 0),
            act("signed too long ago", How::Stale("order.paid"), 401, "timestamp_stale", 0),
        ],
    },
];
