-- The two journals, and the messages that cargo facts were read from.

CREATE TABLE cargo_events (
    originator_id      text COLLATE "C" NOT NULL,   -- stream, kind:number
    originator_version bigint NOT NULL,             -- 1, 2, 3, … within the stream
    topic              text COLLATE "C" NOT NULL,   -- permanent tag of the fact
    state              bytea NOT NULL,              -- JSON
    notification_id    bigint NOT NULL,             -- position: commit-ordered, given under the lock
    fact_id            uuid NOT NULL,               -- derived from the meaning; see domain/fact.py
    PRIMARY KEY (originator_id, originator_version)
);
CREATE SEQUENCE cargo_events_notification_id_seq OWNED BY cargo_events.notification_id;
CREATE UNIQUE INDEX cargo_events_position ON cargo_events (notification_id);
CREATE UNIQUE INDEX cargo_events_fact_id ON cargo_events (fact_id);

CREATE TABLE commerce_events (
    originator_id      text COLLATE "C" NOT NULL,
    originator_version bigint NOT NULL,
    topic              text COLLATE "C" NOT NULL,
    state              bytea NOT NULL,
    notification_id    bigint NOT NULL,
    fact_id            uuid NOT NULL,
    PRIMARY KEY (originator_id, originator_version)
);
CREATE SEQUENCE commerce_events_notification_id_seq OWNED BY commerce_events.notification_id;
CREATE UNIQUE INDEX commerce_events_position ON commerce_events (notification_id);
CREATE UNIQUE INDEX commerce_events_fact_id ON commerce_events (fact_id);

-- What came over the wire in one piece, verbatim.
CREATE TABLE cargo_transmissions (
    transmission_id uuid PRIMARY KEY,
    source          text NOT NULL,
    format          text NOT NULL,
    received_at     timestamptz NOT NULL,
    digest          bytea NOT NULL,                 -- SHA-256 of the body
    body            bytea NOT NULL
);

-- One message of a transmission: a slice of its body.
CREATE TABLE cargo_messages (
    message_id      uuid PRIMARY KEY,               -- derived from source and the source's own key
    transmission_id uuid NOT NULL,
    byte_from       integer NOT NULL,
    byte_to         integer NOT NULL,
    source          text COLLATE "C" NOT NULL,
    document        text COLLATE "C" NOT NULL,      -- '' or the number by which a later message cancels or replaces it
    digest          bytea NOT NULL,                 -- SHA-256 of the slice
    status          text COLLATE "C" NOT NULL,      -- recorded, confirmed, duplicate, quarantined
    fact_ids        uuid[] NOT NULL,                -- the facts that it stated, also those already known
    received_at     timestamptz NOT NULL
);
CREATE INDEX cargo_messages_document ON cargo_messages (source, document) WHERE document <> '';

-- What could not be understood: nothing is dropped.
CREATE TABLE cargo_quarantine (
    message_id  uuid PRIMARY KEY,
    source      text NOT NULL,
    format      text NOT NULL,
    code        text NOT NULL,                      -- permanent slug of the fault
    detail      text NOT NULL,
    byte_offset integer NOT NULL,                   -- in the transmission's body
    path        text NOT NULL,                      -- segment or JSON path
    first_seen  timestamptz NOT NULL,
    last_seen   timestamptz NOT NULL,
    attempts    integer NOT NULL DEFAULT 1,
    state       text NOT NULL DEFAULT 'open'        -- open, mended, dismissed
);
CREATE INDEX cargo_quarantine_state ON cargo_quarantine (state, first_seen);
