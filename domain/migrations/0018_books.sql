-- Statements that were issued, and their lines. Filled by the journal itself, in the transaction of the fact; never
-- rebuilt, never changed (docs/decisions/019-statements.md). Money is fen, tax included.

CREATE TABLE issued_statements (
    statement             text COLLATE "C" PRIMARY KEY,                        -- number
    period                text COLLATE "C" NOT NULL,                           -- month in Asia/Shanghai, 2026-10
    holder                text COLLATE "C" NOT NULL,                           -- party, or an account that has none
    is_party              boolean NOT NULL,
    holder_zh             text NOT NULL,
    holder_en             text NOT NULL,
    cut_off               bigint NOT NULL,                                     -- position of the commerce journal
    sha256                text NOT NULL UNIQUE,
    previous              text COLLATE "C" REFERENCES issued_statements,       -- of the same holder; none: its first
    currency              text NOT NULL,
    list_minor            bigint NOT NULL,
    waived_minor          bigint NOT NULL,
    total_minor           bigint NOT NULL,
    net_minor             bigint NOT NULL,
    tax_minor             bigint NOT NULL CHECK (total_minor = net_minor + tax_minor),
    brought_forward_minor bigint NOT NULL CHECK (brought_forward_minor <= 0),  -- credit that the one before left
    payable_minor         bigint NOT NULL CHECK (payable_minor >= 0),          -- it alone goes to a payment provider
    carried_forward_minor bigint NOT NULL CHECK (carried_forward_minor <= 0),
    issued_at             timestamptz NOT NULL,
    position              bigint NOT NULL,                                     -- of the fact that issued it
    UNIQUE (period, holder, is_party),
    CHECK (payable_minor = greatest(0, total_minor + brought_forward_minor)),
    CHECK (carried_forward_minor = least(0, total_minor + brought_forward_minor))
);
CREATE INDEX issued_statements_holder ON issued_statements (holder, is_party, period);

CREATE TABLE issued_lines (
    statement         text COLLATE "C" NOT NULL REFERENCES issued_statements,
    line              integer NOT NULL CHECK (line > 0),
    kind              text NOT NULL CHECK (kind IN ('usage', 'share', 'adjustment')),
    item              text COLLATE "C" NOT NULL,
    item_class        text NOT NULL,
    tariff            text COLLATE "C",                                        -- price version
    waived            text NOT NULL,
    corrects_period   text COLLATE "C",
    used_by           text COLLATE "C" NOT NULL,                               -- holder whose usage it is
    used_by_party     boolean NOT NULL,
    deliveries        bigint NOT NULL,
    quantity          bigint NOT NULL,
    free_quantity     bigint NOT NULL,
    reversed_quantity bigint NOT NULL,
    list_minor        bigint NOT NULL,
    waived_minor      bigint NOT NULL,
    whole_minor       bigint NOT NULL,                                         -- before it is shared
    amount_minor      bigint NOT NULL,                                         -- what the holder bears
    net_minor         bigint NOT NULL,
    tax_minor         bigint NOT NULL,
    tax_rate_bp       integer NOT NULL CHECK (tax_rate_bp >= 0 AND tax_rate_bp < 10000),
    reference         text NOT NULL,                                           -- of an adjustment
    PRIMARY KEY (statement, line),
    UNIQUE (statement, line, item_class),
    FOREIGN KEY (item, item_class) REFERENCES listed_items (item, item_class),
    FOREIGN KEY (item, tariff) REFERENCES published_tariffs (item, version),
    -- A government service has no price, no amount, and no line that would change one.
    CHECK (
        item_class = 'commercial'
        OR (
            kind = 'usage' AND tariff IS NULL AND waived = ''
            AND list_minor = 0 AND waived_minor = 0 AND whole_minor = 0
            AND amount_minor = 0 AND net_minor = 0 AND tax_minor = 0
        )
    ),
    CHECK (amount_minor = net_minor + tax_minor),
    CHECK (kind = 'adjustment' OR (tariff IS NOT NULL OR (list_minor = 0 AND amount_minor = 0))),
    CHECK (kind <> 'usage' OR whole_minor = list_minor - waived_minor)
);
CREATE INDEX issued_lines_used_by ON issued_lines (used_by, used_by_party, item);

CREATE FUNCTION statement_told(state bytea, at bigint) RETURNS void
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    told json := convert_from(state, 'UTF8')::json;
    paper json := told->'document';
BEGIN
    INSERT INTO issued_statements VALUES (
        told->>'number', told->>'period', told->>'holder', (told->>'is_party')::boolean,
        paper->'holder'->>'zh', paper->'holder'->>'en', (paper->>'cut_off')::bigint, told->>'sha256',
        nullif(paper->>'previous', ''), paper->>'currency',
        (paper->>'list_minor')::bigint, (paper->>'waived_minor')::bigint, (paper->>'total_minor')::bigint,
        (paper->>'net_minor')::bigint, (paper->>'tax_minor')::bigint, (paper->>'brought_forward_minor')::bigint,
        (paper->>'payable_minor')::bigint, (paper->>'carried_forward_minor')::bigint,
        (told->>'happened_at')::timestamptz, at
    );
    INSERT INTO issued_lines
    SELECT
        told->>'number', no, kind, item, item_class, tariff, waived, corrects_period, used_by, used_by_party,
        deliveries, quantity, free_quantity, reversed_quantity, list_minor, waived_minor, whole_minor, amount_minor,
        net_minor, tax_minor, tax_rate_bp, reference
    FROM json_to_recordset(paper->'lines') AS line (
        no integer, kind text, item text, item_class text, tariff text, waived text, corrects_period text,
        used_by text, used_by_party boolean, deliveries bigint, quantity bigint, free_quantity bigint,
        reversed_quantity bigint, list_minor bigint, waived_minor bigint, whole_minor bigint, amount_minor bigint,
        net_minor bigint, tax_minor bigint, tax_rate_bp integer, reference text
    );
    IF (SELECT coalesce(sum(amount_minor), 0) FROM issued_lines WHERE statement = told->>'number')
        <> (paper->>'total_minor')::bigint
    THEN
        RAISE check_violation USING MESSAGE = format('statement %s is not the sum of its lines', told->>'number');
    END IF;
END
$$;
CREATE FUNCTION statement_kept() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM statement_told(NEW.state, NEW.notification_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER statement_kept AFTER INSERT ON commerce_events
    FOR EACH ROW WHEN (NEW.topic = 'statement.issued') EXECUTE FUNCTION statement_kept();
CREATE TRIGGER issued_statements_stand BEFORE UPDATE OR DELETE OR TRUNCATE ON issued_statements
    FOR EACH STATEMENT EXECUTE FUNCTION tariff_stands();
CREATE TRIGGER issued_lines_stand BEFORE UPDATE OR DELETE OR TRUNCATE ON issued_lines
    FOR EACH STATEMENT EXECUTE FUNCTION tariff_stands();
