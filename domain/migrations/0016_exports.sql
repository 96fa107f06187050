-- Exports of a period: what was ordered, by whom, and the file that came of it (KOUAN_HOME/exports/ID.FORMAT).

CREATE TABLE exports (
    export_id   uuid PRIMARY KEY,
    account     text COLLATE "C" NOT NULL REFERENCES accounts,
    caller      jsonb NOT NULL,                    -- who ordered, as the door knew it (api/identity.py Account)
    asked       jsonb NOT NULL,                    -- from, to, filter, format
    state       text NOT NULL CHECK (state IN ('waiting', 'making', 'ready', 'failed', 'expired')),
    ordered_at  timestamptz NOT NULL,
    attempts    integer NOT NULL DEFAULT 0,
    held_until  timestamptz,                       -- of whoever makes it; behind that, somebody else may
    finished_at timestamptz,
    expires_at  timestamptz,                       -- then the file goes
    rows        bigint NOT NULL DEFAULT 0,
    bytes       bigint NOT NULL DEFAULT 0,
    sha256      text NOT NULL DEFAULT '',          -- hex
    tariff      text NOT NULL DEFAULT '',          -- price version
    rights      jsonb,                             -- what the caller was permitted to see of what is in it
    reason      text NOT NULL DEFAULT '',          -- why it failed
    CHECK ((state IN ('waiting', 'making')) = (finished_at IS NULL))
);
CREATE INDEX exports_account ON exports (account, ordered_at DESC);
CREATE INDEX exports_open ON exports (ordered_at) WHERE state IN ('waiting', 'making');
CREATE INDEX exports_expiry ON exports (expires_at) WHERE state = 'ready';
