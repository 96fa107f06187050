-- Whose tokens this node believes, whom they stand for; and what this node needs to be an issuer itself.

CREATE TABLE trusted_issuers (
    issuer        text PRIMARY KEY,          -- exactly as tokens say it in `iss`
    name          text NOT NULL UNIQUE,      -- in addresses: /login/oidc/NAME
    entry         jsonb NOT NULL,            -- keys or where they are, algorithms, audience, claims, parties, roles, state
    client_secret bytea,                     -- sealed by the vault; NULL: a public client
    changed_by    text NOT NULL,             -- account; '' from the command line
    changed_at    timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE account_links (
    issuer  text NOT NULL REFERENCES trusted_issuers ON DELETE CASCADE,
    subject text NOT NULL,                   -- `sub`, which means something with its issuer only
    account text NOT NULL REFERENCES accounts,
    made_by text NOT NULL,                   -- account; '' made by itself when its first token came
    made_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX account_links_account ON account_links (account);
CREATE TABLE oidc_logins (                   -- sign-ins under way with another issuer
    state      bytea PRIMARY KEY,            -- SHA-256 of `state`
    browser    bytea NOT NULL,               -- SHA-256 of the cookie of the browser that began
    issuer     text NOT NULL REFERENCES trusted_issuers ON DELETE CASCADE,
    nonce      text NOT NULL,
    verifier   text NOT NULL,                -- PKCE
    next_path  text NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX oidc_logins_expires_at ON oidc_logins (expires_at);

CREATE TABLE issuer_node (                   -- one row: the name of this node as an issuer
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    url text NOT NULL
);
CREATE TABLE issuer_keys (
    kid        text PRIMARY KEY,             -- RFC 7638 thumbprint
    public     jsonb NOT NULL,
    sealed     bytea,                        -- the private key, sealed by the vault; NULL once it signs no more
    made_at    timestamptz NOT NULL,
    signs_from timestamptz NOT NULL,         -- published for a while before it signs
    retired_at timestamptz                   -- published for a while after that
);
CREATE TABLE issuer_clients (                -- who may have tokens of ours: sister nodes, other portals
    client_id     text PRIMARY KEY,
    zh            text NOT NULL,
    en            text NOT NULL,
    redirect_uris text[] NOT NULL,           -- compared character by character
    audience      text NOT NULL,             -- `aud` of tokens for its API; '' if it has none
    state         text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended')),
    changed_by    text NOT NULL,
    changed_at    timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE issuer_codes (
    digest       bytea PRIMARY KEY,          -- SHA-256 of the code
    client_id    text NOT NULL REFERENCES issuer_clients ON DELETE CASCADE,
    account      text NOT NULL REFERENCES accounts,
    redirect_uri text NOT NULL,
    challenge    text NOT NULL,              -- PKCE, S256
    nonce        text NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX issuer_codes_expires_at ON issuer_codes (expires_at);
