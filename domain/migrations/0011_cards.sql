-- Certificate login: the CAs a node trusts, their revocation lists, the cards known by name, and challenges to be signed.

CREATE TABLE trusted_cas (
    name         text COLLATE "C" PRIMARY KEY,
    pem          text NOT NULL,
    spki_sha256  bytea NOT NULL UNIQUE,            -- of its key
    subject      text NOT NULL,                    -- RFC 4514, to be read
    crl_required boolean NOT NULL DEFAULT true,    -- no card of it is let in without a fresh list of its issuer
    crl_file     text NOT NULL DEFAULT '',         -- a file of this machine with newer lists; set at the machine only
    rule         jsonb,                            -- how a card that is not registered names its account; NULL: not at all
    state        text NOT NULL DEFAULT 'trusted' CHECK (state IN ('trusted', 'suspended')),
    added_by     text NOT NULL,
    added_at     timestamptz NOT NULL
);

CREATE TABLE ca_crls (
    ca          text COLLATE "C" NOT NULL REFERENCES trusted_cas,
    spki_sha256 bytea NOT NULL,                    -- of the issuer's key: that of the CA, or of one below it
    issuer      text NOT NULL,                     -- RFC 4514, to be read
    der         bytea NOT NULL,
    made_at     timestamptz NOT NULL,
    until       timestamptz,                       -- NULL: it does not say, and is never fresh
    taken_by    text NOT NULL,
    taken_at    timestamptz NOT NULL,
    PRIMARY KEY (ca, spki_sha256)
);

CREATE TABLE cards (
    card_id       uuid PRIMARY KEY,
    issuer        text NOT NULL,                   -- RFC 4514
    serial        text NOT NULL,                   -- hexadecimal
    spki_sha256   bytea NOT NULL,                  -- of the card's key
    subject       text NOT NULL,
    account       text NOT NULL REFERENCES accounts,
    state         text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended')),
    registered_by text NOT NULL,
    registered_at timestamptz NOT NULL,
    changed_by    text NOT NULL,
    changed_at    timestamptz NOT NULL,
    UNIQUE (issuer, serial)
);
CREATE INDEX cards_account ON cards (account);

-- Gone in two minutes, so nothing is lost with them in a crash.
CREATE UNLOGGED TABLE card_challenges (
    challenge  uuid PRIMARY KEY,
    nonce      bytea NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX card_challenges_expires_at ON card_challenges (expires_at);
