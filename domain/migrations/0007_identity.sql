-- Accounts, their keys and sessions, kept by migrations from here on; second factors, and failed attempts to sign in.

CREATE TABLE IF NOT EXISTS accounts (
    account text PRIMARY KEY,
    role    text NOT NULL,
    zh      text NOT NULL,
    en      text NOT NULL
);
CREATE TABLE IF NOT EXISTS api_keys (
    key_id     text PRIMARY KEY,
    account    text NOT NULL REFERENCES accounts,
    digest     bytea NOT NULL,           -- SHA-256 of the secret
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE TABLE IF NOT EXISTS sessions (
    digest     bytea PRIMARY KEY,        -- SHA-256 of the token in the cookie
    account    text NOT NULL REFERENCES accounts,
    expires_at timestamptz NOT NULL
);

ALTER TABLE accounts
    DROP CONSTRAINT IF EXISTS accounts_role_check,
    ADD CONSTRAINT accounts_role_check CHECK (role IN (
        'enterprise', 'enterprise-admin', 'logistics', 'finance', 'operator', 'source', 'officer', 'steward',
        'auditor', 'call-centre', 'system-admin', 'security-admin')),
    ADD COLUMN IF NOT EXISTS party      text NOT NULL DEFAULT '',     -- USCC of an enterprise, code of an agency
    ADD COLUMN IF NOT EXISTS rights     text[] NOT NULL DEFAULT '{}', -- enter, declare
    ADD COLUMN IF NOT EXISTS state      text NOT NULL DEFAULT 'open'
        CHECK (state IN ('waiting', 'open', 'suspended', 'dismissed')),
    ADD COLUMN IF NOT EXISTS made_by    text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS password        text,                    -- argon2id, with its salt and costs
    ADD COLUMN IF NOT EXISTS password_set_at timestamptz,
    ADD COLUMN IF NOT EXISTS password_once   boolean NOT NULL DEFAULT false, -- to be changed at the first sign-in
    ADD COLUMN IF NOT EXISTS totp      bytea,                         -- secret, sealed by the vault
    ADD COLUMN IF NOT EXISTS totp_next bytea,                         -- one that waits for its first code
    ADD COLUMN IF NOT EXISTS totp_step bigint NOT NULL DEFAULT 0;     -- of the newest code taken: each is taken once
UPDATE accounts SET rights = '{enter,declare}' WHERE role = 'enterprise' AND rights = '{}';
CREATE INDEX accounts_party ON accounts (party, account);

ALTER TABLE api_keys
    ADD COLUMN IF NOT EXISTS name         text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS made_by      text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS expires_at   timestamptz NOT NULL DEFAULT now() + interval '400 days',
    ADD COLUMN IF NOT EXISTS scopes       text[] NOT NULL DEFAULT '{}', -- none: all that the role may
    ADD COLUMN IF NOT EXISTS networks     text[] NOT NULL DEFAULT '{}', -- CIDR; none: from anywhere
    ADD COLUMN IF NOT EXISTS last_used_at timestamptz;                  -- to the minute
UPDATE api_keys SET expires_at = created_at + interval '400 days';
CREATE INDEX api_keys_account ON api_keys (account);

DELETE FROM sessions; -- whoever is signed in signs in again
ALTER TABLE sessions
    ADD COLUMN IF NOT EXISTS session_id text NOT NULL UNIQUE,         -- 8 hexadecimal digits, to name it by
    ADD COLUMN IF NOT EXISTS credential text NOT NULL,                -- by which it was opened: password, key:…, card:…
    ADD COLUMN IF NOT EXISTS address    text NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS seen_at    timestamptz NOT NULL DEFAULT now();
CREATE INDEX sessions_account ON sessions (account);

CREATE TABLE recovery_codes (
    account text NOT NULL REFERENCES accounts,
    digest  bytea NOT NULL,              -- SHA-256
    PRIMARY KEY (account, digest)
);
CREATE TABLE sign_in_failures (
    subject      text PRIMARY KEY,       -- account:NAME, whether there is one or not, or address:IP
    failures     integer NOT NULL,       -- since the last lock or success
    locks        integer NOT NULL,       -- in a row
    locked_until timestamptz,
    last_at      timestamptz NOT NULL
);
CREATE INDEX sign_in_failures_last_at ON sign_in_failures (last_at);
