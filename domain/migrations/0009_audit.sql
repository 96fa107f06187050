-- The audit trail: a chain of hashes over the commerce journal, sealed in its order; never rebuilt, never changed.

CREATE TABLE audit (
    n         bigint PRIMARY KEY,                   -- 1, 2, 3, …; a gap is named by the entry behind it
    at        timestamptz NOT NULL,
    position  bigint UNIQUE,                        -- of the commerce journal; null: the entry is about the chain itself
    who       text COLLATE "C" NOT NULL,            -- from here to `result`: for finding; all of it stands in `entry`
    party     text COLLATE "C" NOT NULL,
    action    text COLLATE "C" NOT NULL,
    object    text COLLATE "C" NOT NULL,
    result    text COLLATE "C" NOT NULL,            -- ok, empty, denied, error
    entry     bytea NOT NULL,                       -- canonical JSON
    algorithm text COLLATE "C" NOT NULL,            -- sha256, sm3
    hash      bytea NOT NULL                        -- of the hash before, n (8 bytes, big-endian) and entry
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_who ON audit (who, n);
CREATE INDEX audit_party ON audit (party, n) WHERE party <> '';
CREATE INDEX audit_object ON audit (object, n);
CREATE INDEX audit_not_ok ON audit (n) WHERE result <> 'ok';

-- How far the chain has come.
CREATE TABLE audit_state (
    single   boolean PRIMARY KEY DEFAULT true CHECK (single),
    node     text NOT NULL,                         -- as the first entry names it; '' before there is one
    n        bigint NOT NULL,
    hash     bytea NOT NULL,
    position bigint NOT NULL                        -- of the commerce journal, up to which it was sealed
);
INSERT INTO audit_state VALUES (true, '', 0, '', 0);

-- The head of the chain, signed from time to time; kept outside the database too.
CREATE TABLE audit_heads (
    n         bigint PRIMARY KEY,
    hash      bytea NOT NULL,
    at        timestamptz NOT NULL,
    key_id    text COLLATE "C" NOT NULL,
    signature bytea NOT NULL                        -- Ed25519
);
CREATE TABLE audit_keys (
    key_id text COLLATE "C" PRIMARY KEY,
    public bytea NOT NULL,                          -- Ed25519, 32 bytes
    at     timestamptz NOT NULL                     -- when it was first used
);

-- What was cut off because it was old enough; an entry of the chain says the same.
CREATE TABLE audit_cuts (
    upto     bigint PRIMARY KEY,                    -- the last entry that is gone
    hash     bytea NOT NULL,                        -- its hash: the chain goes on from it
    position bigint NOT NULL,                       -- its position in the commerce journal
    before   timestamptz NOT NULL,                  -- everything that is gone is older
    at       timestamptz NOT NULL,
    by       text NOT NULL
);

-- A tripwire, no wall: who owns the tables can take it away, and the chain tells.
CREATE FUNCTION audit_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME IN ('audit', 'audit_heads')
       AND current_setting('kouan.audit_cut', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% of %: the audit trail is never changed', TG_OP, TG_TABLE_NAME;
END
$$;
CREATE TRIGGER audit_stands BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stands();
CREATE TRIGGER audit_stands BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_heads
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stands();
CREATE TRIGGER audit_stands BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_keys
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stands();
CREATE TRIGGER audit_stands BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_cuts
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stands();
REVOKE ALL ON audit, audit_state, audit_heads, audit_keys, audit_cuts FROM PUBLIC;
