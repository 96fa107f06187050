-- Bank transfer as a way of paying: notices of what is to be paid, as a payment provider would hold them, and the
-- movements of the node's bank account with what each of them pays; and the fapiao that the tax system issued. Receipts,
-- matches and fapiao are filled by the journal itself, in the transaction of the fact. Money is fen; times are UTC.

CREATE TABLE bank_notices (
    notice       text COLLATE "C" PRIMARY KEY,
    key          text COLLATE "C" NOT NULL UNIQUE,                           -- of the step that made it
    statement    text COLLATE "C" NOT NULL REFERENCES issued_statements,     -- its number is the reference of the transfer
    sha256       text NOT NULL,                                              -- of the statement
    customer     text COLLATE "C" NOT NULL,
    buyer        jsonb NOT NULL,                                             -- billing/gateway.Customer
    currency     text NOT NULL,
    total_minor  bigint NOT NULL CHECK (total_minor > 0),                    -- what the statement has to be paid
    due_on       date NOT NULL,
    status       text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'open', 'void')),
    made_at      timestamptz NOT NULL DEFAULT now(),
    finalized_at timestamptz,
    sent_at      timestamptz,
    voided_at    timestamptz,
    CHECK ((status = 'draft') = (finalized_at IS NULL AND voided_at IS NULL))
);
CREATE UNIQUE INDEX bank_notices_one ON bank_notices (statement) WHERE status <> 'void';
CREATE INDEX bank_notices_made ON bank_notices (made_at);
CREATE TABLE bank_notice_lines (
    notice         text COLLATE "C" NOT NULL REFERENCES bank_notices,
    line           integer NOT NULL CHECK (line >= 0),                       -- of the statement; 0: credit brought forward
    key            text COLLATE "C" NOT NULL UNIQUE,
    statement      text COLLATE "C" NOT NULL,
    statement_line integer GENERATED ALWAYS AS (nullif(line, 0)) STORED,
    item_class     text NOT NULL DEFAULT 'commercial' CHECK (item_class = 'commercial'),  -- nothing free is ever sent
    item           text COLLATE "C" NOT NULL,
    description    text NOT NULL,
    amount_minor   bigint NOT NULL,                                          -- below zero: a credit
    PRIMARY KEY (notice, line),
    FOREIGN KEY (statement, statement_line, item_class) REFERENCES issued_lines (statement, line, item_class),
    CHECK (line > 0 OR amount_minor < 0)
);
CREATE TABLE bank_credit_notes (
    credit_note  text COLLATE "C" PRIMARY KEY,
    key          text COLLATE "C" NOT NULL UNIQUE,
    notice       text COLLATE "C" NOT NULL REFERENCES bank_notices,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    reason       text NOT NULL,
    made_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX bank_credit_notes_notice ON bank_credit_notes (notice);

CREATE TABLE bank_receipts (
    receipt       text COLLATE "C" PRIMARY KEY,
    account       text COLLATE "C" NOT NULL,                                 -- ours
    serial        text COLLATE "C" NOT NULL,                                 -- the bank's
    direction     text NOT NULL CHECK (direction IN ('in', 'out')),
    amount_minor  bigint NOT NULL CHECK (amount_minor > 0),
    currency      text NOT NULL,
    booked_at     timestamptz NOT NULL,
    payer         text NOT NULL,                                             -- of money that left, who got it
    payer_account text NOT NULL,
    text          text NOT NULL,
    matched_minor bigint NOT NULL DEFAULT 0 CHECK (matched_minor >= 0),
    settled_minor bigint NOT NULL DEFAULT 0 CHECK (settled_minor >= 0),      -- sent back, set aside, or paid out
    waiting_minor bigint GENERATED ALWAYS AS (amount_minor - matched_minor - settled_minor) STORED,
    imported_at   timestamptz NOT NULL,
    file_sha256   text NOT NULL,
    row           integer NOT NULL,
    position      bigint NOT NULL,                                           -- of the fact that told it
    CHECK (matched_minor + settled_minor <= amount_minor)                    -- no fen is matched twice
);
CREATE INDEX bank_receipts_booked ON bank_receipts (booked_at, receipt);
CREATE INDEX bank_receipts_position ON bank_receipts (position);
CREATE INDEX bank_receipts_waiting ON bank_receipts (position) WHERE waiting_minor > 0;
CREATE TABLE bank_matches (
    payment      text COLLATE "C" PRIMARY KEY,
    receipt      text COLLATE "C" NOT NULL REFERENCES bank_receipts,
    statement    text COLLATE "C" NOT NULL REFERENCES issued_statements,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    rule         text NOT NULL,                                              -- reference, hand
    reason       text NOT NULL,
    by           text NOT NULL,
    at           timestamptz NOT NULL,
    undone_at    timestamptz,
    undone_why   text NOT NULL DEFAULT ''
);
CREATE INDEX bank_matches_receipt ON bank_matches (receipt);
CREATE INDEX bank_matches_statement ON bank_matches (statement);
CREATE INDEX bank_matches_undone ON bank_matches (undone_at) WHERE undone_at IS NOT NULL;
CREATE TABLE bank_refunds (
    refund       text COLLATE "C" PRIMARY KEY,
    key          text COLLATE "C" NOT NULL UNIQUE,
    payment      text COLLATE "C" NOT NULL REFERENCES bank_matches,
    notice       text COLLATE "C" NOT NULL REFERENCES bank_notices,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    credit_note  text COLLATE "C" NOT NULL,                                  -- on which it rests; '' if on none
    made_at      timestamptz NOT NULL DEFAULT now(),
    receipt      text COLLATE "C" UNIQUE REFERENCES bank_receipts,           -- by which it was paid out; none: it is to be
    paid_at      timestamptz
);
CREATE INDEX bank_refunds_payment ON bank_refunds (payment);
CREATE INDEX bank_refunds_made ON bank_refunds (made_at);
CREATE TABLE bank_unread (                                                   -- rows of a bank's file that say nothing
    file_sha256 text COLLATE "C" NOT NULL,
    row         integer NOT NULL,                                            -- its titles being row 1
    raw         text NOT NULL,
    zh          text NOT NULL,
    en          text NOT NULL,
    by          text NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (file_sha256, row)
);

CREATE TABLE fapiao_issued (
    number       text COLLATE "C" PRIMARY KEY CHECK (number ~ '^[0-9]{20}$'),
    statement    text COLLATE "C" NOT NULL REFERENCES issued_statements,
    kind         text NOT NULL,                                              -- special, ordinary
    issued_on    date NOT NULL,
    net_minor    bigint NOT NULL,
    tax_minor    bigint NOT NULL,
    total_minor  bigint NOT NULL,                                            -- below zero: a red one
    red_of       text COLLATE "C" REFERENCES fapiao_issued,                  -- the blue one that it takes back
    confirmation text COLLATE "C" NOT NULL DEFAULT '',                       -- of a red one, 20 digits
    credit_note  text COLLATE "C" NOT NULL DEFAULT '',                       -- of a red one, on which it rests
    by           text NOT NULL,
    position     bigint NOT NULL,
    CHECK ((red_of IS NULL) = (total_minor >= 0))
);
CREATE INDEX fapiao_issued_statement ON fapiao_issued (statement);

CREATE FUNCTION bank_told(tag text, told json, at bigint) RETURNS void
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    minor bigint := (told->>'amount_minor')::bigint;
BEGIN
    CASE tag
    WHEN 'bank_receipt.imported' THEN
        INSERT INTO bank_receipts (
            receipt, account, serial, direction, amount_minor, currency, booked_at, payer, payer_account, text,
            imported_at, file_sha256, row, position
        ) VALUES (
            told->>'receipt', told->>'account', told->>'serial', told->>'direction', minor, told->>'currency',
            (told->>'booked_at')::timestamptz, coalesce(told->>'payer', ''), coalesce(told->>'payer_account', ''),
            coalesce(told->>'text', ''), (told->>'recorded_at')::timestamptz, coalesce(told->>'file_sha256', ''),
            coalesce((told->>'row')::integer, 0), at
        );
    WHEN 'bank_receipt.matched' THEN
        INSERT INTO bank_matches (payment, receipt, statement, amount_minor, rule, reason, by, at) VALUES (
            told->>'payment', told->>'receipt', told->>'statement', minor, coalesce(told->>'rule', 'reference'),
            coalesce(told->>'reason', ''), told->>'by', (told->>'happened_at')::timestamptz
        );
        UPDATE bank_receipts SET matched_minor = matched_minor + minor WHERE receipt = told->>'receipt';
    WHEN 'bank_receipt.unmatched' THEN
        UPDATE bank_matches SET undone_at = (told->>'happened_at')::timestamptz, undone_why = told->>'reason'
        WHERE payment = told->>'payment' AND undone_at IS NULL;
        UPDATE bank_receipts SET matched_minor = matched_minor - minor WHERE receipt = told->>'receipt';
    WHEN 'bank_receipt.paid_out' THEN
        UPDATE bank_refunds SET receipt = told->>'receipt', paid_at = (told->>'happened_at')::timestamptz
        WHERE refund = told->>'refund' AND receipt IS NULL;
        IF NOT FOUND THEN
            RAISE check_violation USING MESSAGE = format('refund %s is not to be paid', told->>'refund');
        END IF;
        UPDATE bank_receipts SET settled_minor = settled_minor + minor WHERE receipt = told->>'receipt';
    ELSE  -- returned, set_aside
        UPDATE bank_receipts SET settled_minor = settled_minor + minor WHERE receipt = told->>'receipt';
    END CASE;
END
$$;
CREATE FUNCTION fapiao_told(told json, at bigint) RETURNS void
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO fapiao_issued VALUES (
        told->>'number', told->>'statement', told->>'kind', (told->>'issued_on')::date, (told->>'net_minor')::bigint,
        (told->>'tax_minor')::bigint, (told->>'total_minor')::bigint, told->>'original',
        coalesce(told->>'confirmation', ''), coalesce(told->>'credit_note', ''), told->>'by', at
    );
END
$$;
CREATE FUNCTION bank_kept() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM bank_told(NEW.topic, convert_from(NEW.state, 'UTF8')::json, NEW.notification_id);
    RETURN NULL;
END
$$;
CREATE FUNCTION fapiao_kept() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM fapiao_told(convert_from(NEW.state, 'UTF8')::json, NEW.notification_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER bank_kept AFTER INSERT ON commerce_events
    FOR EACH ROW WHEN (starts_with(NEW.topic, 'bank_receipt.')) EXECUTE FUNCTION bank_kept();
CREATE TRIGGER fapiao_kept AFTER INSERT ON commerce_events
    FOR EACH ROW WHEN (NEW.topic IN ('fapiao.recorded', 'fapiao.reddened')) EXECUTE FUNCTION fapiao_kept();
CREATE TRIGGER fapiao_issued_stand BEFORE UPDATE OR DELETE OR TRUNCATE ON fapiao_issued
    FOR EACH STATEMENT EXECUTE FUNCTION tariff_stands();
