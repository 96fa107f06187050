-- What goes to a payment provider and what comes back: one row for each step of an invoice's journey, one for each
-- notice of the provider. Facts about invoices stand in the journal; this is how they came about
-- (docs/payments.md). Money is fen. Never rebuilt.

ALTER TABLE issued_statements ADD UNIQUE (statement, payable_minor);

-- Who pays, at a provider.
CREATE TABLE gateway_customers (
    provider text COLLATE "C" NOT NULL,
    holder   text COLLATE "C" NOT NULL,                -- as of issued_statements
    is_party boolean NOT NULL,
    customer text NOT NULL DEFAULT '',                 -- the provider's id; '': not made yet
    email    text NOT NULL DEFAULT '',                 -- where it wants invoices, as finance entered it
    PRIMARY KEY (provider, holder, is_party)
);

-- One for a statement at most, and only where there is something to pay.
CREATE TABLE gateway_invoices (
    statement     text COLLATE "C" PRIMARY KEY,
    payable_minor bigint NOT NULL CHECK (payable_minor > 0),
    provider      text COLLATE "C" NOT NULL,
    state         text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'stopped', 'voided')),
    customer      text NOT NULL DEFAULT '',            -- the provider's ids, once they are known
    invoice       text NOT NULL DEFAULT '',
    number        text NOT NULL DEFAULT '',
    url           text NOT NULL DEFAULT '',
    adopted       boolean NOT NULL DEFAULT false,      -- it was found there, not made: its lines may be there too
    round         integer NOT NULL DEFAULT 0,          -- how many before it are void and were made again
    due_on        date NOT NULL,
    asked_by      text NOT NULL,
    asked_at      timestamptz NOT NULL,
    next_at       timestamptz NOT NULL,                -- not planned before
    planned       boolean NOT NULL DEFAULT false,      -- its steps stand below
    sent_at       timestamptz,
    error         text NOT NULL DEFAULT '',            -- why it stopped
    FOREIGN KEY (statement, payable_minor) REFERENCES issued_statements (statement, payable_minor)
);
CREATE INDEX gateway_invoices_unplanned ON gateway_invoices (next_at) WHERE NOT planned AND state = 'waiting';
CREATE UNIQUE INDEX gateway_invoices_invoice ON gateway_invoices (provider, invoice) WHERE invoice <> '';

-- A government line has no place here: an item names its line together with the class "commercial".
CREATE TABLE gateway_steps (
    statement    text COLLATE "C" NOT NULL REFERENCES gateway_invoices,
    no           integer NOT NULL CHECK (no > 0),      -- they are taken in this order
    step         text NOT NULL CHECK (
        step IN ('customer', 'draft', 'item', 'compare', 'finalize', 'check', 'send', 'record', 'void', 'credit', 'refund')
    ),
    line         integer NOT NULL DEFAULT 0 CHECK (line >= 0),  -- of an item; 0: credit brought forward; of a credit or refund its number
    item_class   text CHECK (item_class = 'commercial'),
    amount_minor bigint,                               -- of an item, a credit, a refund
    key          text COLLATE "C" NOT NULL UNIQUE,     -- under which the provider repeats itself
    payment      text NOT NULL DEFAULT '',             -- of a refund: which payment
    credit_note  integer,                              -- of a refund: the number of the credit step on which it rests
    credit_ref   text NOT NULL DEFAULT '',             -- or the provider's id of a credit note that was there before
    reason       text NOT NULL DEFAULT '',             -- of what finance asked for: why, and who
    asked_by     text NOT NULL DEFAULT '',
    request      uuid UNIQUE,                          -- the same request again is the same step
    state        text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'started', 'done', 'stopped')),
    ref          text NOT NULL DEFAULT '',             -- what the provider calls the outcome
    attempts     integer NOT NULL DEFAULT 0,
    next_at      timestamptz NOT NULL,
    started_at   timestamptz,                          -- the first attempt
    done_at      timestamptz,
    error        text NOT NULL DEFAULT '',             -- of the last attempt
    PRIMARY KEY (statement, no),
    UNIQUE (statement, step, line),
    FOREIGN KEY (statement, line, item_class) REFERENCES issued_lines (statement, line, item_class),
    CHECK ((step = 'item' AND line > 0) = (item_class IS NOT NULL)),
    CHECK (step <> 'item' OR line > 0 OR amount_minor < 0),
    CHECK (step NOT IN ('item', 'credit', 'refund') OR amount_minor <> 0),
    CHECK (step NOT IN ('credit', 'refund') OR amount_minor > 0),
    CHECK (step NOT IN ('void', 'credit', 'refund') OR (reason <> '' AND asked_by <> ''))
);
CREATE INDEX gateway_steps_due ON gateway_steps (next_at, statement, no) WHERE state IN ('waiting', 'started');

-- Notices as they came, once each, however often they come.
CREATE TABLE gateway_inbox (
    provider    text COLLATE "C" NOT NULL,
    event_id    text COLLATE "C" NOT NULL,
    kind        text NOT NULL,
    invoice     text COLLATE "C" NOT NULL,             -- the provider's id; '': it is about none
    payment     text COLLATE "C" NOT NULL,
    made_at     timestamptz NOT NULL,
    body        bytea NOT NULL,                        -- raw; of what the sweep found, the notice as it was listed
    signature   text NOT NULL,                         -- header; '': found by the sweep
    received_at timestamptz NOT NULL,
    state       text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'stopped')),
    attempts    integer NOT NULL DEFAULT 0,
    next_at     timestamptz NOT NULL,
    done_at     timestamptz,
    error       text NOT NULL DEFAULT '',              -- of the last attempt; of what is done, why it changed nothing
    PRIMARY KEY (provider, event_id)
);
CREATE INDEX gateway_inbox_due ON gateway_inbox (next_at) WHERE state = 'waiting';
CREATE INDEX gateway_inbox_stopped ON gateway_inbox (received_at) WHERE state = 'stopped';

CREATE TABLE gateway_sweeps (
    provider text COLLATE "C" PRIMARY KEY,
    until    timestamptz NOT NULL                      -- what the provider told up to then is here
);
