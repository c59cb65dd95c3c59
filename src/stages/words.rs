//! The closed lists everybody shares: why a request was refused, what became of an event, and why.
//!
//! The same words stand in the log, in metric labels, in `docs/answers.md` and in what the sender is told
//! (where only the class of a refusal is told). Statuses are in [`super::answer`] and nowhere else.

/// Declares a closed enum with its wire name, a listing of all members, and what each means.
macro_rules! closed_list {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $member:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[doc = $doc])+ $member,)+ }

        impl $name {
            /// Every member, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$member),+];

            /// The name used in logs, metrics and documentation.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$member => $text),+ }
            }

            /// One sentence for the documentation.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$member => concat!($($doc),+)),+ }
            }
        }
    };
}

closed_list! {
    /// Why a whole request was refused. Nothing of it was forwarded by the step that refused it.
    Refusal {
        /// The HTTP message could not be read.
        Framing = "framing",
        /// The `Host` header is missing, doubled or not a host.
        Host = "host",
        /// The request target, its query or a value to be echoed is not acceptable.
        Target = "target",
        /// A header is not valid.
        HeaderInvalid = "header_invalid",
        /// The body is not JSON, or not the form or the lines that the source takes.
        NotJson = "not_json",
        /// An object of the body has the same key twice.
        DuplicateKey = "duplicate_key",
        /// The body is nested too deeply.
        Depth = "depth",
        /// The body is not UTF-8, or starts with a byte order mark.
        Encoding = "encoding",
        /// No credential where the source demands one.
        AuthMissing = "auth_missing",
        /// A credential that cannot be right, whatever the secret.
        AuthMalformed = "auth_malformed",
        /// A well-formed credential that matches no secret.
        AuthMismatch = "auth_mismatch",
        /// A credential, or a part of it, is there more than once.
        AuthAmbiguous = "auth_ambiguous",
        /// The signed time is too old.
        TimestampStale = "timestamp_stale",
        /// The signed time lies too far ahead.
        TimestampFuture = "timestamp_future",
        /// The client's address is not in the source's `allow` list.
        Address = "address",
        /// No source has this path.
        NoRoute = "no_route",
        /// The source does not take this method.
        Method = "method",
        /// The request is meant for another host.
        Misdirected = "misdirected",
        /// The request did not arrive in time.
        Slow = "slow",
        /// The body, or the number of its elements, is over the limit.
        TooLarge = "too_large",
        /// The request target is too long.
        Uri = "uri",
        /// The content type or content coding is not taken here.
        MediaType = "media_type",
        /// An `Expect` other than `100-continue`.
        Expectation = "expectation",
        /// The header block is too large.
        Headers = "headers",
        /// A transfer coding other than `chunked`.
        TransferCoding = "transfer_coding",
        /// An event breaks its schema and the source rejects such requests.
        Schema = "schema",
        /// Too many failed requests from this client.
        RateIp = "rate_ip",
        /// The source is over its own limit.
        RateSource = "rate_source",
        /// The journal cannot take the request.
        Journal = "journal",
        /// The dedup store cannot answer, or the sender's keys cannot be had.
        StateStore = "state_store",
        /// More work than the gateway or the upstream can hold.
        Overload = "overload",
        /// The gateway is shutting down.
        Draining = "draining",
        /// The source is switched off.
        Inactive = "inactive",
        /// The same event is being delivered for another request.
        InFlight = "in_flight",
        /// The upstream refused the event or could not be reached.
        UpstreamError = "upstream_error",
        /// The upstream did not answer in time.
        UpstreamTimeout = "upstream_timeout",
        /// A defect of the gateway itself.
        Internal = "internal",
    }
}

closed_list! {
    /// Why an event was dropped, set aside or rejected.
    Cause {
        /// It breaks the envelope schema that every event of the source obeys.
        Envelope = "envelope",
        /// It breaks the schema of its type.
        Schema = "schema",
        /// Its type is not one the source knows.
        UnknownEventType = "unknown_event_type",
        /// Its type is not among those wanted.
        Unwanted = "unwanted",
        /// A value it carries is not among those wanted (`events.where`).
        Tenant = "tenant",
        /// It lacks a part of the identity that deduplication needs.
        IdentityMissing = "identity_missing",
        /// It has the identity of another event but other bytes.
        Conflict = "conflict",
        /// The source is switched off and drops what it gets.
        Inactive = "inactive",
    }
}

/// What became of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Delivered: the upstream answered 2xx.
    Forward,
    /// Kept in the journal for delivery.
    Queue,
    /// Delivered (or kept) before.
    Duplicate,
    /// Not wanted, by the operator's rule.
    Drop(Cause),
    /// A test or verification event of the sender, answered here.
    Handshake,
    /// Authentic but not conforming; set aside.
    Quarantine(Cause),
    /// Not conforming, and the source rejects such events.
    Reject(Cause),
    /// Not delivered; the sender must try again.
    Fail(Refusal),
}

impl Verdict {
    /// The word of the design for this verdict.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Queue => "queue",
            Self::Duplicate => "duplicate",
            Self::Drop(_) => "drop",
            Self::Handshake => "handshake",
            Self::Quarantine(_) => "quarantine",
            Self::Reject(_) => "reject",
            Self::Fail(_) => "fail",
        }
    }

    /// The reason, where the verdict has one.
    #[must_use]
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Forward | Self::Queue | Self::Duplicate | Self::Handshake => None,
            Self::Drop(cause) | Self::Quarantine(cause) | Self::Reject(cause) => Some(cause.as_str()),
            Self::Fail(refusal) => Some(refusal.as_str()),
        }
    }
}
