-- Where the feed is pushed to: endpoints, their keys, and the messages that did not arrive at once.
-- A message that a receiver took at the first attempt leaves no row here but in the log: its id follows from its position.

CREATE TABLE push_endpoints (
    endpoint_id   uuid PRIMARY KEY,
    account       text COLLATE "C" NOT NULL REFERENCES accounts,
    item          text NOT NULL CHECK (item IN ('feed.push', 'alerts.push')),
    dialect       text NOT NULL CHECK (dialect IN ('webhook', 'dcsa')),
    url           text NOT NULL,
    wanted        jsonb NOT NULL DEFAULT '{}',         -- domain/feed_filter.py
    ordered       boolean NOT NULL DEFAULT true,       -- the next message of a subject waits for the one before
    state         text NOT NULL CHECK (state IN ('unverified', 'active', 'paused', 'disabled')),
    reason        text NOT NULL DEFAULT '',
    made_at       timestamptz NOT NULL,
    changed_at    timestamptz NOT NULL,
    epoch         integer NOT NULL,                    -- of the cursor
    after         bigint NOT NULL,                     -- everything up to here was sent, or has a row in push_messages
    failures      integer NOT NULL DEFAULT 0,          -- rounds in a row in which nothing was taken; it rests until next_at
    failing_since timestamptz,
    next_at       timestamptz NOT NULL,
    succeeded_at  timestamptz,
    held_by       text NOT NULL DEFAULT '',            -- the sender that serves it, until
    held_until    timestamptz
);
CREATE INDEX push_endpoints_account ON push_endpoints (account, made_at);

CREATE TABLE push_keys (
    endpoint_id uuid NOT NULL REFERENCES push_endpoints ON DELETE CASCADE,
    key_id      integer NOT NULL,
    algorithm   text NOT NULL CHECK (algorithm IN ('v1', 'v1a', 'dcsa')),
    secret      bytea NOT NULL,                        -- sealed by the vault (api/login/vault.py)
    public      text NOT NULL DEFAULT '',              -- whpk_…, of v1a
    made_at     timestamptz NOT NULL,
    ends_at     timestamptz,                           -- a key that was rotated out still signs until then
    PRIMARY KEY (endpoint_id, key_id)
);

CREATE TABLE push_messages (
    endpoint_id uuid NOT NULL REFERENCES push_endpoints ON DELETE CASCADE,
    message_id  text COLLATE "C" NOT NULL,             -- webhook-id, the same at every attempt
    kind        text NOT NULL CHECK (kind IN ('feed', 'alert', 'test')),
    position    bigint NOT NULL,                       -- in the source's own order
    subject     text COLLATE "C" NOT NULL,
    state       text NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed', 'withheld', 'cancelled')),
    -- withheld: its subject may not be told any more; cancelled: the endpoint was disabled, it waits again once enabled
    replay      boolean NOT NULL DEFAULT false,
    attempts    integer NOT NULL DEFAULT 0,
    next_at     timestamptz NOT NULL,
    status      integer,                               -- of the last answer
    error       text NOT NULL DEFAULT '',
    made_at     timestamptz NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (endpoint_id, message_id),
    CHECK ((state = 'waiting') = (finished_at IS NULL))
);
CREATE INDEX push_messages_due ON push_messages (endpoint_id, next_at) WHERE state = 'waiting';
CREATE INDEX push_messages_cancelled ON push_messages (endpoint_id) WHERE state = 'cancelled';

CREATE TABLE push_attempts (                           -- the delivery log; older days are swept
    endpoint_id uuid NOT NULL,
    at          timestamptz NOT NULL,
    message_id  text COLLATE "C" NOT NULL,
    kind        text NOT NULL,
    position    bigint NOT NULL,
    subject     text NOT NULL,
    attempt     integer NOT NULL,
    seconds     real NOT NULL,
    status      integer,                               -- none: no answer
    error       text NOT NULL DEFAULT ''
);
CREATE INDEX push_attempts_endpoint ON push_attempts (endpoint_id, at);
CREATE INDEX push_attempts_at ON push_attempts USING brin (at);

CREATE TABLE push_networks (                           -- private ranges that an account may be sent to, by explicit leave
    account text COLLATE "C" NOT NULL REFERENCES accounts,
    network cidr NOT NULL,
    by      text NOT NULL,
    at      timestamptz NOT NULL,
    reason  text NOT NULL,
    PRIMARY KEY (account, network)
);
