-- What facades keep for their users: DCSA event subscriptions and named EPCIS queries.

CREATE TABLE dcsa_subscriptions (
    subscription_id uuid PRIMARY KEY,
    account         text COLLATE "C" NOT NULL,      -- whose; nobody else sees it
    created_at      timestamptz NOT NULL,
    changed_at      timestamptz NOT NULL,
    after           bigint NOT NULL,                -- position of the cargo journal when it was made: what is told lies behind
    body            jsonb NOT NULL,                 -- as published: callbackUrl and filters
    secret          bytea NOT NULL                  -- decoded, 32 to 64 bytes; never handed out again
);
CREATE INDEX dcsa_subscriptions_account ON dcsa_subscriptions (account, created_at);

CREATE TABLE epcis_queries (
    account    text COLLATE "C" NOT NULL,           -- whose; each has names of its own
    name       text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    query      jsonb NOT NULL,                      -- as published: parameters and values
    PRIMARY KEY (account, name)
);
