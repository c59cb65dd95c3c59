-- The first schema of the journal. Times ending in _at are microseconds of civil time; `due` and `since` are
-- milliseconds of the journal's own clock, which only runs while the process does.

CREATE TABLE clock (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    elapsed INTEGER NOT NULL,           -- where the journal's own clock stands
    next_id INTEGER NOT NULL,           -- no entry below it is still to come, whatever was deleted
    seal    INTEGER NOT NULL            -- checksum of all of the above
);
INSERT INTO clock VALUES (1, 0, 1, 0);

-- Names of sources and upstreams, so that rows and indexes stay narrow. Twice, because many rows need each.
CREATE TABLE name (
    id    INTEGER PRIMARY KEY,
    text  TEXT NOT NULL,
    again TEXT NOT NULL,
    seal  INTEGER NOT NULL              -- checksum of `id` and one of them
);

CREATE TABLE entry (
    id          INTEGER PRIMARY KEY,
    received_at INTEGER NOT NULL,
    source      INTEGER NOT NULL,
    event_type  TEXT,
    key         BLOB NOT NULL,
    digest      BLOB NOT NULL,
    bytes       INTEGER NOT NULL,
    verdict     TEXT NOT NULL,
    reason      TEXT,                   -- of the verdict
    pointer     TEXT,
    keyword     TEXT,
    traceparent TEXT NOT NULL,
    upstream    INTEGER,
    order_key   BLOB,
    fixed       INTEGER NOT NULL,       -- checksum of all of the above but `id`
    state       TEXT NOT NULL,
    due         INTEGER,                -- NULL for what waits for another entry of its order key
    since       INTEGER NOT NULL,       -- when it was accepted, or last replayed
    attempts    INTEGER NOT NULL,
    in_a_row    INTEGER NOT NULL,
    seal        INTEGER NOT NULL,       -- checksum of `id`, `fixed` and the columns since
    death       TEXT,                   -- why nothing more is tried
    last_status INTEGER,
    answer      INTEGER
);
-- What is due, lane by lane, apart for events with and without a failed attempt.
CREATE INDEX entry_due ON entry (upstream, source, in_a_row > 0, due) WHERE state = 'pending' AND due IS NOT NULL;
-- What must not overtake what.
CREATE INDEX entry_order ON entry (order_key) WHERE state = 'pending' AND order_key IS NOT NULL;
-- The delivery log, newest first. There is none for its filters: every event would pay for what few ask.
CREATE INDEX entry_received ON entry (received_at);
-- What waits for an operator.
CREATE INDEX entry_waiting ON entry (state, received_at) WHERE state IN ('dead', 'quarantined');
-- What retention may delete. With IN and three words, SQLite would make a table of them for each event.
CREATE INDEX entry_finished ON entry (received_at) WHERE state = 'delivered' OR state = 'discarded' OR state = 'noted';

-- What it takes to deliver an entry. Gone when that is done.
CREATE TABLE kept (
    entry        INTEGER PRIMARY KEY,
    content_type BLOB NOT NULL,
    headers      BLOB NOT NULL,         -- `name: value` and a line feed, each
    strength     TEXT NOT NULL,
    secret       TEXT NOT NULL,
    position     INTEGER,
    total        INTEGER,
    body         BLOB NOT NULL,
    seal         INTEGER NOT NULL       -- checksum of all of the above, and of the entry's key
);

CREATE TABLE attempt (
    entry  INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at     INTEGER NOT NULL,            -- microseconds of civil time
    class  TEXT NOT NULL,
    status INTEGER,
    took   INTEGER NOT NULL,            -- microseconds
    error  TEXT,
    PRIMARY KEY (entry, number)
) WITHOUT ROWID;

CREATE TABLE audit (
    id    INTEGER PRIMARY KEY,
    entry INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    what  TEXT NOT NULL
);
CREATE INDEX audit_entry ON audit (entry);

-- Identities with evidence, in the order in which they were settled. Their index is in memory, made anew at each start,
-- because one on disk would have every event of a group change a page of its own.
CREATE TABLE settled (
    id     INTEGER PRIMARY KEY,
    key    BLOB NOT NULL,
    digest BLOB NOT NULL,
    until  INTEGER NOT NULL,
    entry  INTEGER                      -- whose it is, or in which it is: evidence lasts for as long as that is pending
);

-- How many entries each source has in each state, for each upstream: kept up to date, because counting takes long.
CREATE TABLE tally (
    source   INTEGER NOT NULL,
    upstream INTEGER NOT NULL,          -- 0 for what goes nowhere
    state    TEXT NOT NULL,
    entries  INTEGER NOT NULL,
    seal     INTEGER NOT NULL,          -- checksum of all of the above
    PRIMARY KEY (source, upstream, state)
) WITHOUT ROWID;
