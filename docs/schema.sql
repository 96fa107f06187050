-- The journals' own tables, as all migrations in domain/migrations make them. Read models are rebuilt, not migrated.
-- Made by `python -m tests.schema_dump > docs/schema.sql`; do not edit.

CREATE FUNCTION public.audit_stands() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME IN ('audit', 'audit_heads')
       AND current_setting('kouan.audit_cut', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% of %: the audit trail is never changed', TG_OP, TG_TABLE_NAME;
END
$$;

CREATE FUNCTION public.bank_kept() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO '$user', 'public'
    AS $$
BEGIN
    PERFORM bank_told(NEW.topic, convert_from(NEW.state, 'UTF8')::json, NEW.notification_id);
    RETURN NULL;
END
$$;

CREATE FUNCTION public.bank_told(tag text, told json, at bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO '$user', 'public'
    AS $$
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

CREATE FUNCTION public.books_refuse() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO '$user', 'public'
    AS $$
DECLARE
    told json := convert_from(NEW.state, 'UTF8')::json;
    adjusted text COLLATE "C" := coalesce(told->'proposed'->>'item', told->>'item');
BEGIN
    IF NEW.topic = 'statement.issued' THEN
        IF EXISTS (
            SELECT FROM commerce_events
            WHERE originator_id = 'period:' || (told->>'period') AND topic = 'period.statements_issued'
        ) THEN
            RAISE check_violation USING MESSAGE = format('all statements of %s are issued', told->>'period');
        END IF;
    ELSIF NOT EXISTS (SELECT FROM listed_items WHERE item = adjusted AND item_class = 'commercial') THEN
        RAISE check_violation USING MESSAGE = format('%s has no price: there is nothing to adjust', adjusted);
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION public.fapiao_kept() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO '$user', 'public'
    AS $$
BEGIN
    PERFORM fapiao_told(convert_from(NEW.state, 'UTF8')::json, NEW.notification_id);
    RETURN NULL;
END
$$;

CREATE FUNCTION public.fapiao_told(told json, at bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO '$user', 'public'
    AS $$
BEGIN
    INSERT INTO fapiao_issued VALUES (
        told->>'number', told->>'statement', told->>'kind', (told->>'issued_on')::date, (told->>'net_minor')::bigint,
        (told->>'tax_minor')::bigint, (told->>'total_minor')::bigint, told->>'original',
        coalesce(told->>'confirmation', ''), coalesce(told->>'credit_note', ''), told->>'by', at
    );
END
$$;

CREATE TABLE public.commerce_events (
    originator_id text NOT NULL COLLATE pg_catalog."C",
    originator_version bigint NOT NULL,
    topic text NOT NULL COLLATE pg_catalog."C",
    state bytea NOT NULL,
    notification_id bigint NOT NULL,
    fact_id uuid NOT NULL
);

CREATE FUNCTION public.register_position() RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO '$user', 'public'
    RETURN COALESCE((SELECT max(commerce_events.notification_id) AS max FROM public.commerce_events WHERE (split_part(commerce_events.topic, '.'::text, 1) = ANY (ARRAY['party'::text, 'dataset'::text, 'permission'::text, 'agreement'::text, 'subscription'::text]))), (0)::bigint);

CREATE FUNCTION public.statement_kept() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO '$user', 'public'
    AS $$
BEGIN
    PERFORM statement_told(NEW.state, NEW.notification_id);
    RETURN NULL;
END
$$;

CREATE FUNCTION public.statement_told(state bytea, at bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO '$user', 'public'
    AS $$
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

CREATE FUNCTION public.tariff_kept() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO '$user', 'public'
    AS $$
BEGIN
    PERFORM tariff_told(NEW.topic, NEW.state, NEW.notification_id);
    RETURN NULL;
END
$$;

CREATE FUNCTION public.tariff_stands() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE restrict_violation USING MESSAGE = format('%s is never changed', TG_TABLE_NAME);
END
$$;

CREATE FUNCTION public.tariff_told(tag text, state bytea, at bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO '$user', 'public'
    AS $$
DECLARE
    told json := convert_from(state, 'UTF8')::json;
BEGIN
    IF tag = 'catalogue.item_listed' THEN
        INSERT INTO listed_items VALUES (told->>'item', told->>'item_class') ON CONFLICT (item) DO NOTHING;
        IF NOT EXISTS (SELECT FROM listed_items WHERE item = told->>'item' AND item_class = told->>'item_class') THEN
            RAISE check_violation USING MESSAGE = format('the class of service item %s stands for ever', told->>'item');
        END IF;
    ELSE
        INSERT INTO published_tariffs (item, version, price_minor, currency, published_at, effective_from, position)
        VALUES (
            told->>'item', told->>'version', (told->>'price_minor')::bigint, told->>'currency',
            (told->>'happened_at')::timestamptz, (told->>'effective_from')::timestamptz, at
        );
    END IF;
END
$$;

CREATE TABLE public.account_links (
    issuer text NOT NULL,
    subject text NOT NULL,
    account text NOT NULL,
    made_by text NOT NULL,
    made_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.accounts (
    account text NOT NULL,
    role text NOT NULL,
    zh text NOT NULL,
    en text NOT NULL,
    party text DEFAULT ''::text NOT NULL,
    rights text[] DEFAULT '{}'::text[] NOT NULL,
    state text DEFAULT 'open'::text NOT NULL,
    made_by text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    password text,
    password_set_at timestamp with time zone,
    password_once boolean DEFAULT false NOT NULL,
    totp bytea,
    totp_next bytea,
    totp_step bigint DEFAULT 0 NOT NULL,
    CONSTRAINT accounts_role_check CHECK ((role = ANY (ARRAY['enterprise'::text, 'enterprise-admin'::text, 'logistics'::text, 'finance'::text, 'operator'::text, 'source'::text, 'officer'::text, 'steward'::text, 'auditor'::text, 'call-centre'::text, 'system-admin'::text, 'security-admin'::text]))),
    CONSTRAINT accounts_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'open'::text, 'suspended'::text, 'dismissed'::text])))
);

CREATE TABLE public.alert_log (
    "position" bigint NOT NULL,
    alert_id uuid NOT NULL,
    event text NOT NULL COLLATE pg_catalog."C",
    noticed_at timestamp with time zone NOT NULL,
    subject text NOT NULL COLLATE pg_catalog."C",
    dataset text NOT NULL COLLATE pg_catalog."C",
    alert bytea NOT NULL,
    CONSTRAINT alert_log_event_check CHECK ((event = ANY (ARRAY['raised'::text, 'ended'::text])))
);

ALTER TABLE public.alert_log ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.alert_log_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.alert_log_seen (
    one boolean DEFAULT true NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT alert_log_seen_one_check CHECK (one)
);

CREATE TABLE public.alerts_standing (
    code text NOT NULL COLLATE pg_catalog."C",
    subject text NOT NULL COLLATE pg_catalog."C",
    cause uuid NOT NULL,
    condition text NOT NULL COLLATE pg_catalog."C",
    alert_id uuid NOT NULL
);

CREATE TABLE public.api_keys (
    key_id text NOT NULL,
    account text NOT NULL,
    digest bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    revoked_at timestamp with time zone,
    name text DEFAULT ''::text NOT NULL,
    made_by text DEFAULT ''::text NOT NULL,
    expires_at timestamp with time zone DEFAULT (now() + '400 days'::interval) NOT NULL,
    scopes text[] DEFAULT '{}'::text[] NOT NULL,
    networks text[] DEFAULT '{}'::text[] NOT NULL,
    last_used_at timestamp with time zone
);

CREATE TABLE public.audit (
    n bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    "position" bigint,
    who text NOT NULL COLLATE pg_catalog."C",
    party text NOT NULL COLLATE pg_catalog."C",
    action text NOT NULL COLLATE pg_catalog."C",
    object text NOT NULL COLLATE pg_catalog."C",
    result text NOT NULL COLLATE pg_catalog."C",
    entry bytea NOT NULL,
    algorithm text NOT NULL COLLATE pg_catalog."C",
    hash bytea NOT NULL
);

CREATE TABLE public.audit_cuts (
    upto bigint NOT NULL,
    hash bytea NOT NULL,
    "position" bigint NOT NULL,
    before timestamp with time zone NOT NULL,
    at timestamp with time zone NOT NULL,
    by text NOT NULL
);

CREATE TABLE public.audit_heads (
    n bigint NOT NULL,
    hash bytea NOT NULL,
    at timestamp with time zone NOT NULL,
    key_id text NOT NULL COLLATE pg_catalog."C",
    signature bytea NOT NULL
);

CREATE TABLE public.audit_keys (
    key_id text NOT NULL COLLATE pg_catalog."C",
    public bytea NOT NULL,
    at timestamp with time zone NOT NULL
);

CREATE TABLE public.audit_state (
    single boolean DEFAULT true NOT NULL,
    node text NOT NULL,
    n bigint NOT NULL,
    hash bytea NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT audit_state_single_check CHECK (single)
);

CREATE TABLE public.bank_credit_notes (
    credit_note text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    notice text NOT NULL COLLATE pg_catalog."C",
    amount_minor bigint NOT NULL,
    reason text NOT NULL,
    made_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT bank_credit_notes_amount_minor_check CHECK ((amount_minor > 0))
);

CREATE TABLE public.bank_matches (
    payment text NOT NULL COLLATE pg_catalog."C",
    receipt text NOT NULL COLLATE pg_catalog."C",
    statement text NOT NULL COLLATE pg_catalog."C",
    amount_minor bigint NOT NULL,
    rule text NOT NULL,
    reason text NOT NULL,
    by text NOT NULL,
    at timestamp with time zone NOT NULL,
    undone_at timestamp with time zone,
    undone_why text DEFAULT ''::text NOT NULL,
    CONSTRAINT bank_matches_amount_minor_check CHECK ((amount_minor > 0))
);

CREATE TABLE public.bank_notice_lines (
    notice text NOT NULL COLLATE pg_catalog."C",
    line integer NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    statement text NOT NULL COLLATE pg_catalog."C",
    statement_line integer GENERATED ALWAYS AS (NULLIF(line, 0)) STORED,
    item_class text DEFAULT 'commercial'::text NOT NULL,
    item text NOT NULL COLLATE pg_catalog."C",
    description text NOT NULL,
    amount_minor bigint NOT NULL,
    CONSTRAINT bank_notice_lines_check CHECK (((line > 0) OR (amount_minor < 0))),
    CONSTRAINT bank_notice_lines_item_class_check CHECK ((item_class = 'commercial'::text)),
    CONSTRAINT bank_notice_lines_line_check CHECK ((line >= 0))
);

CREATE TABLE public.bank_notices (
    notice text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    statement text NOT NULL COLLATE pg_catalog."C",
    sha256 text NOT NULL,
    customer text NOT NULL COLLATE pg_catalog."C",
    buyer jsonb NOT NULL,
    currency text NOT NULL,
    total_minor bigint NOT NULL,
    due_on date NOT NULL,
    status text DEFAULT 'draft'::text NOT NULL,
    made_at timestamp with time zone DEFAULT now() NOT NULL,
    finalized_at timestamp with time zone,
    sent_at timestamp with time zone,
    voided_at timestamp with time zone,
    CONSTRAINT bank_notices_check CHECK (((status = 'draft'::text) = ((finalized_at IS NULL) AND (voided_at IS NULL)))),
    CONSTRAINT bank_notices_status_check CHECK ((status = ANY (ARRAY['draft'::text, 'open'::text, 'void'::text]))),
    CONSTRAINT bank_notices_total_minor_check CHECK ((total_minor > 0))
);

CREATE TABLE public.bank_receipts (
    receipt text NOT NULL COLLATE pg_catalog."C",
    account text NOT NULL COLLATE pg_catalog."C",
    serial text NOT NULL COLLATE pg_catalog."C",
    direction text NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    booked_at timestamp with time zone NOT NULL,
    payer text NOT NULL,
    payer_account text NOT NULL,
    text text NOT NULL,
    matched_minor bigint DEFAULT 0 NOT NULL,
    settled_minor bigint DEFAULT 0 NOT NULL,
    waiting_minor bigint GENERATED ALWAYS AS (((amount_minor - matched_minor) - settled_minor)) STORED,
    imported_at timestamp with time zone NOT NULL,
    file_sha256 text NOT NULL,
    "row" integer NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT bank_receipts_amount_minor_check CHECK ((amount_minor > 0)),
    CONSTRAINT bank_receipts_check CHECK (((matched_minor + settled_minor) <= amount_minor)),
    CONSTRAINT bank_receipts_direction_check CHECK ((direction = ANY (ARRAY['in'::text, 'out'::text]))),
    CONSTRAINT bank_receipts_matched_minor_check CHECK ((matched_minor >= 0)),
    CONSTRAINT bank_receipts_settled_minor_check CHECK ((settled_minor >= 0))
);

CREATE TABLE public.bank_refunds (
    refund text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    payment text NOT NULL COLLATE pg_catalog."C",
    notice text NOT NULL COLLATE pg_catalog."C",
    amount_minor bigint NOT NULL,
    credit_note text NOT NULL COLLATE pg_catalog."C",
    made_at timestamp with time zone DEFAULT now() NOT NULL,
    receipt text COLLATE pg_catalog."C",
    paid_at timestamp with time zone,
    CONSTRAINT bank_refunds_amount_minor_check CHECK ((amount_minor > 0))
);

CREATE TABLE public.bank_unread (
    file_sha256 text NOT NULL COLLATE pg_catalog."C",
    "row" integer NOT NULL,
    raw text NOT NULL,
    zh text NOT NULL,
    en text NOT NULL,
    by text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.ca_crls (
    ca text NOT NULL COLLATE pg_catalog."C",
    spki_sha256 bytea NOT NULL,
    issuer text NOT NULL,
    der bytea NOT NULL,
    made_at timestamp with time zone NOT NULL,
    until timestamp with time zone,
    taken_by text NOT NULL,
    taken_at timestamp with time zone NOT NULL
);

CREATE UNLOGGED TABLE public.card_challenges (
    challenge uuid NOT NULL,
    nonce bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

CREATE TABLE public.cards (
    card_id uuid NOT NULL,
    issuer text NOT NULL,
    serial text NOT NULL,
    spki_sha256 bytea NOT NULL,
    subject text NOT NULL,
    account text NOT NULL,
    state text DEFAULT 'active'::text NOT NULL,
    registered_by text NOT NULL,
    registered_at timestamp with time zone NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    CONSTRAINT cards_state_check CHECK ((state = ANY (ARRAY['active'::text, 'suspended'::text])))
);

CREATE TABLE public.cargo_events (
    originator_id text NOT NULL COLLATE pg_catalog."C",
    originator_version bigint NOT NULL,
    topic text NOT NULL COLLATE pg_catalog."C",
    state bytea NOT NULL,
    notification_id bigint NOT NULL,
    fact_id uuid NOT NULL
);

CREATE SEQUENCE public.cargo_events_notification_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.cargo_events_notification_id_seq OWNED BY public.cargo_events.notification_id;

CREATE TABLE public.cargo_messages (
    message_id uuid NOT NULL,
    transmission_id uuid NOT NULL,
    byte_from integer NOT NULL,
    byte_to integer NOT NULL,
    source text NOT NULL COLLATE pg_catalog."C",
    document text NOT NULL COLLATE pg_catalog."C",
    digest bytea NOT NULL,
    status text NOT NULL COLLATE pg_catalog."C",
    fact_ids uuid[] NOT NULL,
    received_at timestamp with time zone NOT NULL,
    function text DEFAULT 'original'::text NOT NULL COLLATE pg_catalog."C",
    sent_at timestamp with time zone
);

CREATE TABLE public.cargo_quarantine (
    message_id uuid NOT NULL,
    source text NOT NULL,
    format text NOT NULL,
    code text NOT NULL,
    detail text NOT NULL,
    byte_offset integer NOT NULL,
    path text NOT NULL,
    first_seen timestamp with time zone NOT NULL,
    last_seen timestamp with time zone NOT NULL,
    attempts integer DEFAULT 1 NOT NULL,
    state text DEFAULT 'open'::text NOT NULL,
    fault_in uuid,
    replayed_as uuid,
    reason text,
    resolved_by text,
    resolved_at timestamp with time zone
);

CREATE TABLE public.cargo_restated (
    fact_id uuid NOT NULL,
    message_id uuid NOT NULL
);

CREATE TABLE public.cargo_transmissions (
    transmission_id uuid NOT NULL,
    source text NOT NULL,
    format text NOT NULL,
    received_at timestamp with time zone NOT NULL,
    digest bytea NOT NULL,
    body bytea NOT NULL,
    sent_at timestamp with time zone,
    mends uuid
);

CREATE SEQUENCE public.commerce_events_notification_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.commerce_events_notification_id_seq OWNED BY public.commerce_events.notification_id;

CREATE TABLE public.customs_outbox (
    message_id uuid NOT NULL,
    "position" bigint NOT NULL,
    subject text NOT NULL COLLATE pg_catalog."C",
    action text NOT NULL,
    state text DEFAULT 'waiting'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_at timestamp with time zone DEFAULT now() NOT NULL,
    settled_at timestamp with time zone,
    answer text DEFAULT ''::text NOT NULL,
    CONSTRAINT customs_outbox_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'sent'::text, 'refused'::text])))
);

CREATE TABLE public.customs_outbox_position (
    single boolean DEFAULT true NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT customs_outbox_position_single_check CHECK (single)
);

CREATE TABLE public.dcsa_subscriptions (
    subscription_id uuid NOT NULL,
    account text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    after bigint NOT NULL,
    body jsonb NOT NULL,
    secret bytea NOT NULL
);

CREATE TABLE public.epcis_queries (
    account text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone NOT NULL,
    query jsonb NOT NULL
);

CREATE TABLE public.exports (
    export_id uuid NOT NULL,
    account text NOT NULL COLLATE pg_catalog."C",
    caller jsonb NOT NULL,
    asked jsonb NOT NULL,
    state text NOT NULL,
    ordered_at timestamp with time zone NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    held_until timestamp with time zone,
    finished_at timestamp with time zone,
    expires_at timestamp with time zone,
    rows bigint DEFAULT 0 NOT NULL,
    bytes bigint DEFAULT 0 NOT NULL,
    sha256 text DEFAULT ''::text NOT NULL,
    tariff text DEFAULT ''::text NOT NULL,
    rights jsonb,
    reason text DEFAULT ''::text NOT NULL,
    CONSTRAINT exports_check CHECK (((state = ANY (ARRAY['waiting'::text, 'making'::text])) = (finished_at IS NULL))),
    CONSTRAINT exports_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'making'::text, 'ready'::text, 'failed'::text, 'expired'::text])))
);

CREATE TABLE public.fapiao_issued (
    number text NOT NULL COLLATE pg_catalog."C",
    statement text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL,
    issued_on date NOT NULL,
    net_minor bigint NOT NULL,
    tax_minor bigint NOT NULL,
    total_minor bigint NOT NULL,
    red_of text COLLATE pg_catalog."C",
    confirmation text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    credit_note text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    by text NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT fapiao_issued_check CHECK (((red_of IS NULL) = (total_minor >= 0))),
    CONSTRAINT fapiao_issued_number_check CHECK ((number ~ '^[0-9]{20}$'::text))
);

CREATE TABLE public.gateway_customers (
    provider text NOT NULL COLLATE pg_catalog."C",
    holder text NOT NULL COLLATE pg_catalog."C",
    is_party boolean NOT NULL,
    customer text DEFAULT ''::text NOT NULL,
    email text DEFAULT ''::text NOT NULL
);

CREATE TABLE public.gateway_inbox (
    provider text NOT NULL COLLATE pg_catalog."C",
    event_id text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL,
    invoice text NOT NULL COLLATE pg_catalog."C",
    payment text NOT NULL COLLATE pg_catalog."C",
    made_at timestamp with time zone NOT NULL,
    body bytea NOT NULL,
    signature text NOT NULL,
    received_at timestamp with time zone NOT NULL,
    state text DEFAULT 'waiting'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_at timestamp with time zone NOT NULL,
    done_at timestamp with time zone,
    error text DEFAULT ''::text NOT NULL,
    CONSTRAINT gateway_inbox_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'done'::text, 'stopped'::text])))
);

CREATE TABLE public.gateway_invoices (
    statement text NOT NULL COLLATE pg_catalog."C",
    payable_minor bigint NOT NULL,
    provider text NOT NULL COLLATE pg_catalog."C",
    state text DEFAULT 'waiting'::text NOT NULL,
    customer text DEFAULT ''::text NOT NULL,
    invoice text DEFAULT ''::text NOT NULL,
    number text DEFAULT ''::text NOT NULL,
    url text DEFAULT ''::text NOT NULL,
    adopted boolean DEFAULT false NOT NULL,
    round integer DEFAULT 0 NOT NULL,
    due_on date NOT NULL,
    asked_by text NOT NULL,
    asked_at timestamp with time zone NOT NULL,
    next_at timestamp with time zone NOT NULL,
    planned boolean DEFAULT false NOT NULL,
    sent_at timestamp with time zone,
    error text DEFAULT ''::text NOT NULL,
    CONSTRAINT gateway_invoices_payable_minor_check CHECK ((payable_minor > 0)),
    CONSTRAINT gateway_invoices_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'sent'::text, 'stopped'::text, 'voided'::text])))
);

CREATE TABLE public.gateway_steps (
    statement text NOT NULL COLLATE pg_catalog."C",
    no integer NOT NULL,
    step text NOT NULL,
    line integer DEFAULT 0 NOT NULL,
    item_class text,
    amount_minor bigint,
    key text NOT NULL COLLATE pg_catalog."C",
    payment text DEFAULT ''::text NOT NULL,
    credit_note integer,
    credit_ref text DEFAULT ''::text NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    asked_by text DEFAULT ''::text NOT NULL,
    request uuid,
    state text DEFAULT 'waiting'::text NOT NULL,
    ref text DEFAULT ''::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    done_at timestamp with time zone,
    error text DEFAULT ''::text NOT NULL,
    CONSTRAINT gateway_steps_check CHECK ((((step = 'item'::text) AND (line > 0)) = (item_class IS NOT NULL))),
    CONSTRAINT gateway_steps_check1 CHECK (((step <> 'item'::text) OR (line > 0) OR (amount_minor < 0))),
    CONSTRAINT gateway_steps_check2 CHECK (((step <> ALL (ARRAY['item'::text, 'credit'::text, 'refund'::text])) OR (amount_minor <> 0))),
    CONSTRAINT gateway_steps_check3 CHECK (((step <> ALL (ARRAY['credit'::text, 'refund'::text])) OR (amount_minor > 0))),
    CONSTRAINT gateway_steps_check4 CHECK (((step <> ALL (ARRAY['void'::text, 'credit'::text, 'refund'::text])) OR ((reason <> ''::text) AND (asked_by <> ''::text)))),
    CONSTRAINT gateway_steps_item_class_check CHECK ((item_class = 'commercial'::text)),
    CONSTRAINT gateway_steps_line_check CHECK ((line >= 0)),
    CONSTRAINT gateway_steps_no_check CHECK ((no > 0)),
    CONSTRAINT gateway_steps_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'started'::text, 'done'::text, 'stopped'::text]))),
    CONSTRAINT gateway_steps_step_check CHECK ((step = ANY (ARRAY['customer'::text, 'draft'::text, 'item'::text, 'compare'::text, 'finalize'::text, 'check'::text, 'send'::text, 'record'::text, 'void'::text, 'credit'::text, 'refund'::text])))
);

CREATE TABLE public.gateway_sweeps (
    provider text NOT NULL COLLATE pg_catalog."C",
    until timestamp with time zone NOT NULL
);

CREATE TABLE public.issued_lines (
    statement text NOT NULL COLLATE pg_catalog."C",
    line integer NOT NULL,
    kind text NOT NULL,
    item text NOT NULL COLLATE pg_catalog."C",
    item_class text NOT NULL,
    tariff text COLLATE pg_catalog."C",
    waived text NOT NULL,
    corrects_period text COLLATE pg_catalog."C",
    used_by text NOT NULL COLLATE pg_catalog."C",
    used_by_party boolean NOT NULL,
    deliveries bigint NOT NULL,
    quantity bigint NOT NULL,
    free_quantity bigint NOT NULL,
    reversed_quantity bigint NOT NULL,
    list_minor bigint NOT NULL,
    waived_minor bigint NOT NULL,
    whole_minor bigint NOT NULL,
    amount_minor bigint NOT NULL,
    net_minor bigint NOT NULL,
    tax_minor bigint NOT NULL,
    tax_rate_bp integer NOT NULL,
    reference text NOT NULL,
    CONSTRAINT issued_lines_check CHECK (((item_class = 'commercial'::text) OR ((kind = 'usage'::text) AND (tariff IS NULL) AND (waived = ''::text) AND (list_minor = 0) AND (waived_minor = 0) AND (whole_minor = 0) AND (amount_minor = 0) AND (net_minor = 0) AND (tax_minor = 0)))),
    CONSTRAINT issued_lines_check1 CHECK ((amount_minor = (net_minor + tax_minor))),
    CONSTRAINT issued_lines_check2 CHECK (((kind = 'adjustment'::text) OR ((tariff IS NOT NULL) OR ((list_minor = 0) AND (amount_minor = 0))))),
    CONSTRAINT issued_lines_check3 CHECK (((kind <> 'usage'::text) OR (whole_minor = (list_minor - waived_minor)))),
    CONSTRAINT issued_lines_kind_check CHECK ((kind = ANY (ARRAY['usage'::text, 'share'::text, 'adjustment'::text]))),
    CONSTRAINT issued_lines_line_check CHECK ((line > 0)),
    CONSTRAINT issued_lines_tax_rate_bp_check CHECK (((tax_rate_bp >= 0) AND (tax_rate_bp < 10000)))
);

CREATE TABLE public.issued_statements (
    statement text NOT NULL COLLATE pg_catalog."C",
    period text NOT NULL COLLATE pg_catalog."C",
    holder text NOT NULL COLLATE pg_catalog."C",
    is_party boolean NOT NULL,
    holder_zh text NOT NULL,
    holder_en text NOT NULL,
    cut_off bigint NOT NULL,
    sha256 text NOT NULL,
    previous text COLLATE pg_catalog."C",
    currency text NOT NULL,
    list_minor bigint NOT NULL,
    waived_minor bigint NOT NULL,
    total_minor bigint NOT NULL,
    net_minor bigint NOT NULL,
    tax_minor bigint NOT NULL,
    brought_forward_minor bigint NOT NULL,
    payable_minor bigint NOT NULL,
    carried_forward_minor bigint NOT NULL,
    issued_at timestamp with time zone NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT issued_statements_brought_forward_minor_check CHECK ((brought_forward_minor <= 0)),
    CONSTRAINT issued_statements_carried_forward_minor_check CHECK ((carried_forward_minor <= 0)),
    CONSTRAINT issued_statements_check CHECK ((total_minor = (net_minor + tax_minor))),
    CONSTRAINT issued_statements_check1 CHECK ((payable_minor = GREATEST((0)::bigint, (total_minor + brought_forward_minor)))),
    CONSTRAINT issued_statements_check2 CHECK ((carried_forward_minor = LEAST((0)::bigint, (total_minor + brought_forward_minor)))),
    CONSTRAINT issued_statements_payable_minor_check CHECK ((payable_minor >= 0))
);

CREATE TABLE public.issuer_clients (
    client_id text NOT NULL,
    zh text NOT NULL,
    en text NOT NULL,
    redirect_uris text[] NOT NULL,
    audience text NOT NULL,
    state text DEFAULT 'active'::text NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT issuer_clients_state_check CHECK ((state = ANY (ARRAY['active'::text, 'suspended'::text])))
);

CREATE TABLE public.issuer_codes (
    digest bytea NOT NULL,
    client_id text NOT NULL,
    account text NOT NULL,
    redirect_uri text NOT NULL,
    challenge text NOT NULL,
    nonce text NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

CREATE TABLE public.issuer_keys (
    kid text NOT NULL,
    public jsonb NOT NULL,
    sealed bytea,
    made_at timestamp with time zone NOT NULL,
    signs_from timestamp with time zone NOT NULL,
    retired_at timestamp with time zone
);

CREATE TABLE public.issuer_node (
    one boolean DEFAULT true NOT NULL,
    url text NOT NULL,
    CONSTRAINT issuer_node_one_check CHECK (one)
);

CREATE TABLE public.listed_items (
    item text NOT NULL COLLATE pg_catalog."C",
    item_class text NOT NULL,
    CONSTRAINT listed_items_item_class_check CHECK ((item_class = ANY (ARRAY['government'::text, 'commercial'::text])))
);

CREATE TABLE public.oidc_logins (
    state bytea NOT NULL,
    browser bytea NOT NULL,
    issuer text NOT NULL,
    nonce text NOT NULL,
    verifier text NOT NULL,
    next_path text NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

CREATE TABLE public.published_tariffs (
    item text NOT NULL COLLATE pg_catalog."C",
    version text NOT NULL COLLATE pg_catalog."C",
    item_class text DEFAULT 'commercial'::text NOT NULL,
    price_minor bigint NOT NULL,
    currency text NOT NULL,
    published_at timestamp with time zone NOT NULL,
    effective_from timestamp with time zone NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT published_tariffs_check CHECK ((effective_from >= published_at)),
    CONSTRAINT published_tariffs_item_class_check CHECK ((item_class = 'commercial'::text)),
    CONSTRAINT published_tariffs_price_minor_check CHECK ((price_minor >= 0))
);

CREATE TABLE public.push_attempts (
    endpoint_id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    message_id text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL,
    "position" bigint NOT NULL,
    subject text NOT NULL,
    attempt integer NOT NULL,
    seconds real NOT NULL,
    status integer,
    error text DEFAULT ''::text NOT NULL
);

CREATE TABLE public.push_endpoints (
    endpoint_id uuid NOT NULL,
    account text NOT NULL COLLATE pg_catalog."C",
    item text NOT NULL,
    dialect text NOT NULL,
    url text NOT NULL,
    wanted jsonb DEFAULT '{}'::jsonb NOT NULL,
    ordered boolean DEFAULT true NOT NULL,
    state text NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    made_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    epoch integer NOT NULL,
    after bigint NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    failing_since timestamp with time zone,
    next_at timestamp with time zone NOT NULL,
    succeeded_at timestamp with time zone,
    held_by text DEFAULT ''::text NOT NULL,
    held_until timestamp with time zone,
    CONSTRAINT push_endpoints_dialect_check CHECK ((dialect = ANY (ARRAY['webhook'::text, 'dcsa'::text]))),
    CONSTRAINT push_endpoints_item_check CHECK ((item = ANY (ARRAY['feed.push'::text, 'alerts.push'::text]))),
    CONSTRAINT push_endpoints_state_check CHECK ((state = ANY (ARRAY['unverified'::text, 'active'::text, 'paused'::text, 'disabled'::text])))
);

CREATE TABLE public.push_keys (
    endpoint_id uuid NOT NULL,
    key_id integer NOT NULL,
    algorithm text NOT NULL,
    secret bytea NOT NULL,
    public text DEFAULT ''::text NOT NULL,
    made_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone,
    CONSTRAINT push_keys_algorithm_check CHECK ((algorithm = ANY (ARRAY['v1'::text, 'v1a'::text, 'dcsa'::text])))
);

CREATE TABLE public.push_messages (
    endpoint_id uuid NOT NULL,
    message_id text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL,
    "position" bigint NOT NULL,
    subject text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL,
    replay boolean DEFAULT false NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_at timestamp with time zone NOT NULL,
    status integer,
    error text DEFAULT ''::text NOT NULL,
    made_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT push_messages_check CHECK (((state = 'waiting'::text) = (finished_at IS NULL))),
    CONSTRAINT push_messages_kind_check CHECK ((kind = ANY (ARRAY['feed'::text, 'alert'::text, 'test'::text]))),
    CONSTRAINT push_messages_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'delivered'::text, 'failed'::text, 'withheld'::text, 'cancelled'::text])))
);

CREATE TABLE public.push_networks (
    account text NOT NULL COLLATE pg_catalog."C",
    network cidr NOT NULL,
    by text NOT NULL,
    at timestamp with time zone NOT NULL,
    reason text NOT NULL
);

CREATE TABLE public.quota (
    holder text NOT NULL COLLATE pg_catalog."C",
    item text NOT NULL COLLATE pg_catalog."C",
    month text NOT NULL COLLATE pg_catalog."C",
    granted bigint NOT NULL,
    warned smallint DEFAULT 0 NOT NULL,
    CONSTRAINT quota_granted_check CHECK ((granted >= 0))
);

CREATE TABLE public.quota_leases (
    process text NOT NULL COLLATE pg_catalog."C",
    holder text NOT NULL COLLATE pg_catalog."C",
    item text NOT NULL COLLATE pg_catalog."C",
    month text NOT NULL COLLATE pg_catalog."C",
    held bigint NOT NULL,
    until timestamp with time zone NOT NULL
);

CREATE UNLOGGED TABLE public.rates (
    bucket bytea NOT NULL,
    policy text NOT NULL,
    tokens integer NOT NULL,
    slice bigint NOT NULL,
    used integer[] NOT NULL,
    granted integer NOT NULL,
    touched double precision NOT NULL,
    idle_at double precision NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE public.recovery_codes (
    account text NOT NULL,
    digest bytea NOT NULL
);

CREATE TABLE public.schema_migrations (
    number integer NOT NULL,
    name text NOT NULL
);

CREATE TABLE public.sessions (
    digest bytea NOT NULL,
    account text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    session_id text NOT NULL,
    credential text NOT NULL,
    address text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.sign_in_failures (
    subject text NOT NULL,
    failures integer NOT NULL,
    locks integer NOT NULL,
    locked_until timestamp with time zone,
    last_at timestamp with time zone NOT NULL
);

CREATE TABLE public.trusted_cas (
    name text NOT NULL COLLATE pg_catalog."C",
    pem text NOT NULL,
    spki_sha256 bytea NOT NULL,
    subject text NOT NULL,
    crl_required boolean DEFAULT true NOT NULL,
    crl_file text DEFAULT ''::text NOT NULL,
    rule jsonb,
    state text DEFAULT 'trusted'::text NOT NULL,
    added_by text NOT NULL,
    added_at timestamp with time zone NOT NULL,
    CONSTRAINT trusted_cas_state_check CHECK ((state = ANY (ARRAY['trusted'::text, 'suspended'::text])))
);

CREATE TABLE public.trusted_issuers (
    issuer text NOT NULL,
    name text NOT NULL,
    entry jsonb NOT NULL,
    client_secret bytea,
    changed_by text NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY public.account_links
    ADD CONSTRAINT account_links_pkey PRIMARY KEY (issuer, subject);

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (account);

ALTER TABLE ONLY public.alert_log
    ADD CONSTRAINT alert_log_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY public.alert_log_seen
    ADD CONSTRAINT alert_log_seen_pkey PRIMARY KEY (one);

ALTER TABLE ONLY public.alerts_standing
    ADD CONSTRAINT alerts_standing_pkey PRIMARY KEY (subject, code, cause);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (key_id);

ALTER TABLE ONLY public.audit_cuts
    ADD CONSTRAINT audit_cuts_pkey PRIMARY KEY (upto);

ALTER TABLE ONLY public.audit_heads
    ADD CONSTRAINT audit_heads_pkey PRIMARY KEY (n);

ALTER TABLE ONLY public.audit_keys
    ADD CONSTRAINT audit_keys_pkey PRIMARY KEY (key_id);

ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (n);

ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_position_key UNIQUE ("position");

ALTER TABLE ONLY public.audit_state
    ADD CONSTRAINT audit_state_pkey PRIMARY KEY (single);

ALTER TABLE ONLY public.bank_credit_notes
    ADD CONSTRAINT bank_credit_notes_key_key UNIQUE (key);

ALTER TABLE ONLY public.bank_credit_notes
    ADD CONSTRAINT bank_credit_notes_pkey PRIMARY KEY (credit_note);

ALTER TABLE ONLY public.bank_matches
    ADD CONSTRAINT bank_matches_pkey PRIMARY KEY (payment);

ALTER TABLE ONLY public.bank_notice_lines
    ADD CONSTRAINT bank_notice_lines_key_key UNIQUE (key);

ALTER TABLE ONLY public.bank_notice_lines
    ADD CONSTRAINT bank_notice_lines_pkey PRIMARY KEY (notice, line);

ALTER TABLE ONLY public.bank_notices
    ADD CONSTRAINT bank_notices_key_key UNIQUE (key);

ALTER TABLE ONLY public.bank_notices
    ADD CONSTRAINT bank_notices_pkey PRIMARY KEY (notice);

ALTER TABLE ONLY public.bank_receipts
    ADD CONSTRAINT bank_receipts_pkey PRIMARY KEY (receipt);

ALTER TABLE ONLY public.bank_refunds
    ADD CONSTRAINT bank_refunds_key_key UNIQUE (key);

ALTER TABLE ONLY public.bank_refunds
    ADD CONSTRAINT bank_refunds_pkey PRIMARY KEY (refund);

ALTER TABLE ONLY public.bank_refunds
    ADD CONSTRAINT bank_refunds_receipt_key UNIQUE (receipt);

ALTER TABLE ONLY public.bank_unread
    ADD CONSTRAINT bank_unread_pkey PRIMARY KEY (file_sha256, "row");

ALTER TABLE ONLY public.ca_crls
    ADD CONSTRAINT ca_crls_pkey PRIMARY KEY (ca, spki_sha256);

ALTER TABLE ONLY public.card_challenges
    ADD CONSTRAINT card_challenges_pkey PRIMARY KEY (challenge);

ALTER TABLE ONLY public.cards
    ADD CONSTRAINT cards_issuer_serial_key UNIQUE (issuer, serial);

ALTER TABLE ONLY public.cards
    ADD CONSTRAINT cards_pkey PRIMARY KEY (card_id);

ALTER TABLE ONLY public.cargo_events
    ADD CONSTRAINT cargo_events_pkey PRIMARY KEY (originator_id, originator_version);

ALTER TABLE ONLY public.cargo_messages
    ADD CONSTRAINT cargo_messages_pkey PRIMARY KEY (message_id);

ALTER TABLE ONLY public.cargo_quarantine
    ADD CONSTRAINT cargo_quarantine_pkey PRIMARY KEY (message_id);

ALTER TABLE ONLY public.cargo_restated
    ADD CONSTRAINT cargo_restated_pkey PRIMARY KEY (fact_id, message_id);

ALTER TABLE ONLY public.cargo_transmissions
    ADD CONSTRAINT cargo_transmissions_pkey PRIMARY KEY (transmission_id);

ALTER TABLE ONLY public.commerce_events
    ADD CONSTRAINT commerce_events_pkey PRIMARY KEY (originator_id, originator_version);

ALTER TABLE ONLY public.customs_outbox
    ADD CONSTRAINT customs_outbox_pkey PRIMARY KEY (message_id);

ALTER TABLE ONLY public.customs_outbox_position
    ADD CONSTRAINT customs_outbox_position_pkey PRIMARY KEY (single);

ALTER TABLE ONLY public.dcsa_subscriptions
    ADD CONSTRAINT dcsa_subscriptions_pkey PRIMARY KEY (subscription_id);

ALTER TABLE ONLY public.epcis_queries
    ADD CONSTRAINT epcis_queries_pkey PRIMARY KEY (account, name);

ALTER TABLE ONLY public.exports
    ADD CONSTRAINT exports_pkey PRIMARY KEY (export_id);

ALTER TABLE ONLY public.fapiao_issued
    ADD CONSTRAINT fapiao_issued_pkey PRIMARY KEY (number);

ALTER TABLE ONLY public.gateway_customers
    ADD CONSTRAINT gateway_customers_pkey PRIMARY KEY (provider, holder, is_party);

ALTER TABLE ONLY public.gateway_inbox
    ADD CONSTRAINT gateway_inbox_pkey PRIMARY KEY (provider, event_id);

ALTER TABLE ONLY public.gateway_invoices
    ADD CONSTRAINT gateway_invoices_pkey PRIMARY KEY (statement);

ALTER TABLE ONLY public.gateway_steps
    ADD CONSTRAINT gateway_steps_key_key UNIQUE (key);

ALTER TABLE ONLY public.gateway_steps
    ADD CONSTRAINT gateway_steps_pkey PRIMARY KEY (statement, no);

ALTER TABLE ONLY public.gateway_steps
    ADD CONSTRAINT gateway_steps_request_key UNIQUE (request);

ALTER TABLE ONLY public.gateway_steps
    ADD CONSTRAINT gateway_steps_statement_step_line_key UNIQUE (statement, step, line);

ALTER TABLE ONLY public.gateway_sweeps
    ADD CONSTRAINT gateway_sweeps_pkey PRIMARY KEY (provider);

ALTER TABLE ONLY public.issued_lines
    ADD CONSTRAINT issued_lines_pkey PRIMARY KEY (statement, line);

ALTER TABLE ONLY public.issued_lines
    ADD CONSTRAINT issued_lines_statement_line_item_class_key UNIQUE (statement, line, item_class);

ALTER TABLE ONLY public.issued_statements
    ADD CONSTRAINT issued_statements_period_holder_is_party_key UNIQUE (period, holder, is_party);

ALTER TABLE ONLY public.issued_statements
    ADD CONSTRAINT issued_statements_pkey PRIMARY KEY (statement);

ALTER TABLE ONLY public.issued_statements
    ADD CONSTRAINT issued_statements_sha256_key UNIQUE (sha256);

ALTER TABLE ONLY public.issued_statements
    ADD CONSTRAINT issued_statements_statement_payable_minor_key UNIQUE (statement, payable_minor);

ALTER TABLE ONLY public.issuer_clients
    ADD CONSTRAINT issuer_clients_pkey PRIMARY KEY (client_id);

ALTER TABLE ONLY public.issuer_codes
    ADD CONSTRAINT issuer_codes_pkey PRIMARY KEY (digest);

ALTER TABLE ONLY public.issuer_keys
    ADD CONSTRAINT issuer_keys_pkey PRIMARY KEY (kid);

ALTER TABLE ONLY public.issuer_node
    ADD CONSTRAINT issuer_node_pkey PRIMARY KEY (one);

ALTER TABLE ONLY public.listed_items
    ADD CONSTRAINT listed_items_item_item_class_key UNIQUE (item, item_class);

ALTER TABLE ONLY public.listed_items
    ADD CONSTRAINT listed_items_pkey PRIMARY KEY (item);

ALTER TABLE ONLY public.oidc_logins
    ADD CONSTRAINT oidc_logins_pkey PRIMARY KEY (state);

ALTER TABLE ONLY public.published_tariffs
    ADD CONSTRAINT published_tariffs_pkey PRIMARY KEY (item, version);

ALTER TABLE ONLY public.push_endpoints
    ADD CONSTRAINT push_endpoints_pkey PRIMARY KEY (endpoint_id);

ALTER TABLE ONLY public.push_keys
    ADD CONSTRAINT push_keys_pkey PRIMARY KEY (endpoint_id, key_id);

ALTER TABLE ONLY public.push_messages
    ADD CONSTRAINT push_messages_pkey PRIMARY KEY (endpoint_id, message_id);

ALTER TABLE ONLY public.push_networks
    ADD CONSTRAINT push_networks_pkey PRIMARY KEY (account, network);

ALTER TABLE ONLY public.quota_leases
    ADD CONSTRAINT quota_leases_pkey PRIMARY KEY (process, holder, item, month);

ALTER TABLE ONLY public.quota
    ADD CONSTRAINT quota_pkey PRIMARY KEY (holder, item, month);

ALTER TABLE ONLY public.rates
    ADD CONSTRAINT rates_pkey PRIMARY KEY (bucket);

ALTER TABLE ONLY public.recovery_codes
    ADD CONSTRAINT recovery_codes_pkey PRIMARY KEY (account, digest);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (number);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (digest);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_session_id_key UNIQUE (session_id);

ALTER TABLE ONLY public.sign_in_failures
    ADD CONSTRAINT sign_in_failures_pkey PRIMARY KEY (subject);

ALTER TABLE ONLY public.trusted_cas
    ADD CONSTRAINT trusted_cas_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.trusted_cas
    ADD CONSTRAINT trusted_cas_spki_sha256_key UNIQUE (spki_sha256);

ALTER TABLE ONLY public.trusted_issuers
    ADD CONSTRAINT trusted_issuers_name_key UNIQUE (name);

ALTER TABLE ONLY public.trusted_issuers
    ADD CONSTRAINT trusted_issuers_pkey PRIMARY KEY (issuer);

CREATE INDEX account_links_account ON public.account_links USING btree (account);

CREATE INDEX accounts_party ON public.accounts USING btree (party, account);

CREATE INDEX alert_log_alert ON public.alert_log USING btree (alert_id, "position");

CREATE INDEX alert_log_noticed_at ON public.alert_log USING btree (noticed_at);

CREATE INDEX api_keys_account ON public.api_keys USING btree (account);

CREATE INDEX audit_at ON public.audit USING btree (at);

CREATE INDEX audit_not_ok ON public.audit USING btree (n) WHERE (result <> 'ok'::text);

CREATE INDEX audit_object ON public.audit USING btree (object, n);

CREATE INDEX audit_party ON public.audit USING btree (party, n) WHERE (party <> ''::text);

CREATE INDEX audit_who ON public.audit USING btree (who, n);

CREATE INDEX bank_credit_notes_notice ON public.bank_credit_notes USING btree (notice);

CREATE INDEX bank_matches_receipt ON public.bank_matches USING btree (receipt);

CREATE INDEX bank_matches_statement ON public.bank_matches USING btree (statement);

CREATE INDEX bank_matches_undone ON public.bank_matches USING btree (undone_at) WHERE (undone_at IS NOT NULL);

CREATE INDEX bank_notices_made ON public.bank_notices USING btree (made_at);

CREATE UNIQUE INDEX bank_notices_one ON public.bank_notices USING btree (statement) WHERE (status <> 'void'::text);

CREATE INDEX bank_receipts_booked ON public.bank_receipts USING btree (booked_at, receipt);

CREATE INDEX bank_receipts_position ON public.bank_receipts USING btree ("position");

CREATE INDEX bank_receipts_waiting ON public.bank_receipts USING btree ("position") WHERE (waiting_minor > 0);

CREATE INDEX bank_refunds_made ON public.bank_refunds USING btree (made_at);

CREATE INDEX bank_refunds_payment ON public.bank_refunds USING btree (payment);

CREATE INDEX card_challenges_expires_at ON public.card_challenges USING btree (expires_at);

CREATE INDEX cards_account ON public.cards USING btree (account);

CREATE UNIQUE INDEX cargo_events_fact_id ON public.cargo_events USING btree (fact_id);

CREATE UNIQUE INDEX cargo_events_position ON public.cargo_events USING btree (notification_id);

CREATE INDEX cargo_messages_document ON public.cargo_messages USING btree (source, document) WHERE (document <> ''::text);

CREATE INDEX cargo_quarantine_newest ON public.cargo_quarantine USING btree (first_seen DESC, message_id DESC);

CREATE INDEX cargo_quarantine_state ON public.cargo_quarantine USING btree (state, first_seen);

CREATE INDEX cargo_transmissions_mends ON public.cargo_transmissions USING btree (mends) WHERE (mends IS NOT NULL);

CREATE UNIQUE INDEX commerce_events_fact_id ON public.commerce_events USING btree (fact_id);

CREATE UNIQUE INDEX commerce_events_position ON public.commerce_events USING btree (notification_id);

CREATE INDEX commerce_register ON public.commerce_events USING btree (notification_id) WHERE (split_part(topic, '.'::text, 1) = ANY (ARRAY['party'::text, 'dataset'::text, 'permission'::text, 'agreement'::text, 'subscription'::text]));

CREATE INDEX customs_outbox_due ON public.customs_outbox USING btree (next_at) WHERE (state = 'waiting'::text);

CREATE INDEX customs_outbox_subject ON public.customs_outbox USING btree (subject, "position");

CREATE INDEX dcsa_subscriptions_account ON public.dcsa_subscriptions USING btree (account, created_at);

CREATE INDEX exports_account ON public.exports USING btree (account, ordered_at DESC);

CREATE INDEX exports_expiry ON public.exports USING btree (expires_at) WHERE (state = 'ready'::text);

CREATE INDEX exports_open ON public.exports USING btree (ordered_at) WHERE (state = ANY (ARRAY['waiting'::text, 'making'::text]));

CREATE INDEX fapiao_issued_statement ON public.fapiao_issued USING btree (statement);

CREATE INDEX gateway_inbox_due ON public.gateway_inbox USING btree (next_at) WHERE (state = 'waiting'::text);

CREATE INDEX gateway_inbox_stopped ON public.gateway_inbox USING btree (received_at) WHERE (state = 'stopped'::text);

CREATE UNIQUE INDEX gateway_invoices_invoice ON public.gateway_invoices USING btree (provider, invoice) WHERE (invoice <> ''::text);

CREATE INDEX gateway_invoices_unplanned ON public.gateway_invoices USING btree (next_at) WHERE ((NOT planned) AND (state = 'waiting'::text));

CREATE INDEX gateway_steps_due ON public.gateway_steps USING btree (next_at, statement, no) WHERE (state = ANY (ARRAY['waiting'::text, 'started'::text]));

CREATE INDEX issued_lines_used_by ON public.issued_lines USING btree (used_by, used_by_party, item);

CREATE INDEX issued_statements_holder ON public.issued_statements USING btree (holder, is_party, period);

CREATE INDEX issuer_codes_expires_at ON public.issuer_codes USING btree (expires_at);

CREATE INDEX oidc_logins_expires_at ON public.oidc_logins USING btree (expires_at);

CREATE INDEX push_attempts_at ON public.push_attempts USING brin (at);

CREATE INDEX push_attempts_endpoint ON public.push_attempts USING btree (endpoint_id, at);

CREATE INDEX push_endpoints_account ON public.push_endpoints USING btree (account, made_at);

CREATE INDEX push_messages_cancelled ON public.push_messages USING btree (endpoint_id) WHERE (state = 'cancelled'::text);

CREATE INDEX push_messages_due ON public.push_messages USING btree (endpoint_id, next_at) WHERE (state = 'waiting'::text);

CREATE INDEX quota_leases_until ON public.quota_leases USING btree (until);

CREATE INDEX sessions_account ON public.sessions USING btree (account);

CREATE INDEX sign_in_failures_last_at ON public.sign_in_failures USING btree (last_at);

CREATE TRIGGER audit_stands BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit FOR EACH STATEMENT EXECUTE FUNCTION public.audit_stands();

CREATE TRIGGER audit_stands BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_cuts FOR EACH STATEMENT EXECUTE FUNCTION public.audit_stands();

CREATE TRIGGER audit_stands BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_heads FOR EACH STATEMENT EXECUTE FUNCTION public.audit_stands();

CREATE TRIGGER audit_stands BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_keys FOR EACH STATEMENT EXECUTE FUNCTION public.audit_stands();

CREATE TRIGGER bank_kept AFTER INSERT ON public.commerce_events FOR EACH ROW WHEN (starts_with(new.topic, 'bank_receipt.'::text)) EXECUTE FUNCTION public.bank_kept();

CREATE TRIGGER books_refuse AFTER INSERT ON public.commerce_events FOR EACH ROW WHEN ((new.topic = ANY (ARRAY['statement.issued'::text, 'adjustment.proposed'::text, 'adjustment.approved'::text]))) EXECUTE FUNCTION public.books_refuse();

CREATE TRIGGER fapiao_issued_stand BEFORE DELETE OR UPDATE OR TRUNCATE ON public.fapiao_issued FOR EACH STATEMENT EXECUTE FUNCTION public.tariff_stands();

CREATE TRIGGER fapiao_kept AFTER INSERT ON public.commerce_events FOR EACH ROW WHEN ((new.topic = ANY (ARRAY['fapiao.recorded'::text, 'fapiao.reddened'::text]))) EXECUTE FUNCTION public.fapiao_kept();

CREATE TRIGGER issued_lines_stand BEFORE DELETE OR UPDATE OR TRUNCATE ON public.issued_lines FOR EACH STATEMENT EXECUTE FUNCTION public.tariff_stands();

CREATE TRIGGER issued_statements_stand BEFORE DELETE OR UPDATE OR TRUNCATE ON public.issued_statements FOR EACH STATEMENT EXECUTE FUNCTION public.tariff_stands();

CREATE TRIGGER listed_items_stand BEFORE DELETE OR UPDATE OR TRUNCATE ON public.listed_items FOR EACH STATEMENT EXECUTE FUNCTION public.tariff_stands();

CREATE TRIGGER published_tariffs_stand BEFORE DELETE OR UPDATE OR TRUNCATE ON public.published_tariffs FOR EACH STATEMENT EXECUTE FUNCTION public.tariff_stands();

CREATE TRIGGER statement_kept AFTER INSERT ON public.commerce_events FOR EACH ROW WHEN ((new.topic = 'statement.issued'::text)) EXECUTE FUNCTION public.statement_kept();

CREATE TRIGGER tariff_kept AFTER INSERT ON public.commerce_events FOR EACH ROW WHEN ((new.topic = ANY (ARRAY['catalogue.item_listed'::text, 'catalogue.tariff_published'::text]))) EXECUTE FUNCTION public.tariff_kept();

ALTER TABLE ONLY public.account_links
    ADD CONSTRAINT account_links_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(account);

ALTER TABLE ONLY public.account_links
    ADD CONSTRAINT account_links_issuer_fkey FOREIGN KEY (issuer) REFERENCES public.trusted_issuers(issuer) ON DELETE CASCADE;

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(account);

ALTER TABLE ONLY public.bank_credit_notes
    ADD CONSTRAINT bank_credit_notes_notice_fkey FOREIGN KEY (notice) REFERENCES public.bank_notices(notice);

ALTER TABLE ONLY public.bank_matches
    ADD CONSTRAINT bank_matches_receipt_fkey FOREIGN KEY (receipt) REFERENCES public.bank_receipts(receipt);

ALTER TABLE ONLY public.bank_matches
    ADD CONSTRAINT bank_matches_statement_fkey FOREIGN KEY (statement) REFERENCES public.issued_statements(statement);

ALTER TABLE ONLY public.bank_notice_lines
    ADD CONSTRAINT bank_notice_lines_notice_fkey FOREIGN KEY (notice) REFERENCES public.bank_notices(notice);

ALTER TABLE ONLY public.bank_notice_lines
    ADD CONSTRAINT bank_notice_lines_statement_statement_line_item_class_fkey FOREIGN KEY (statement, statement_line, item_class) REFERENCES public.issued_lines(statement, line, item_class);

ALTER TABLE ONLY public.bank_notices
    ADD CONSTRAINT bank_notices_statement_fkey FOREIGN KEY (statement) REFERENCES public.issued_statements(statement);

ALTER TABLE ONLY public.bank_refunds
    ADD CONSTRAINT bank_refunds_notice_fkey FOREIGN KEY (notice) REFERENCES public.bank_notices(notice);

ALTER TABLE ONLY public.bank_refunds
    ADD CONSTRAINT bank_refunds_payment_fkey FOREIGN KEY (payment) REFERENCES public.bank_matches(payment);

ALTER TABLE ONLY public.bank_refunds
    ADD CONSTRAINT bank_refunds_receipt_fkey FOREIGN KEY (receipt) REFERENCES public.bank_receipts(receipt);

ALTER TABLE ONLY public.ca_crls
    ADD CONSTRAINT ca_crls_ca_fkey FOREIGN KEY (ca) REFERENCES public.trusted_cas(name);

ALTER TABLE ONLY public.cards
    ADD CONSTRAINT cards_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(account);

ALTER TABLE ONLY public.exports
    ADD CONSTRAINT exports_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(account);

ALTER TABLE ONLY public.fapiao_issued
    ADD CONSTRAINT fapiao_issued_red_of_fkey FOREIGN KEY (red_of) REFERENCES public.fapiao_issued(number);

ALTER TABLE ONLY public.fapiao_issued
    ADD CONSTRAINT fapiao_issued_statement_fkey FOREIGN KEY (statement) REFERENCES public.issued_statements(statement);

ALTER TABLE ONLY public.gateway_invoices
    ADD CONSTRAINT gateway_invoices_statement_payable_minor_fkey FOREIGN KEY (statement, payable_minor) REFERENCES public.issued_statements(statement, payable_minor);

ALTER TABLE ONLY public.gateway_steps
    ADD CONSTRAINT gateway_steps_statement_fkey FOREIGN KEY (statement) REFERENCES public.gateway_invoices(statement);

ALTER TABLE ONLY public.gateway_steps
    ADD CONSTRAINT gateway_steps_statement_line_item_class_fkey FOREIGN KEY (statement, line, item_class) REFERENCES public.issued_lines(statement, line, item_class);

ALTER TABLE ONLY public.issued_lines
    ADD CONSTRAINT issued_lines_item_item_class_fkey FOREIGN KEY (item, item_class) REFERENCES public.listed_items(item, item_class);

ALTER TABLE ONLY public.issued_lines
    ADD CONSTRAINT issued_lines_item_tariff_fkey FOREIGN KEY (item, tariff) REFERENCES public.published_tariffs(item, version);

ALTER TABLE ONLY public.issued_lines
    ADD CONSTRAINT issued_lines_statement_fkey FOREIGN KEY (statement) REFERENCES public.issued_statements(statement);

ALTER TABLE ONLY public.issued_statements
    ADD CONSTRAINT issued_statements_previous_fkey FOREIGN KEY (previous) REFERENCES public.issued_statements(statement);

ALTER TABLE ONLY public.issuer_codes
    ADD CONSTRAINT issuer_codes_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(account);

ALTER TABLE ONLY public.issuer_codes
    ADD CONSTRAINT issuer_codes_client_id_fkey FOREIGN KEY (client_id) REFERENCES public.issuer_clients(client_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.oidc_logins
    ADD CONSTRAINT oidc_logins_issuer_fkey FOREIGN KEY (issuer) REFERENCES public.trusted_issuers(issuer) ON DELETE CASCADE;

ALTER TABLE ONLY public.published_tariffs
    ADD CONSTRAINT published_tariffs_item_item_class_fkey FOREIGN KEY (item, item_class) REFERENCES public.listed_items(item, item_class);

ALTER TABLE ONLY public.push_endpoints
    ADD CONSTRAINT push_endpoints_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(account);

ALTER TABLE ONLY public.push_keys
    ADD CONSTRAINT push_keys_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES public.push_endpoints(endpoint_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.push_messages
    ADD CONSTRAINT push_messages_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES public.push_endpoints(endpoint_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.push_networks
    ADD CONSTRAINT push_networks_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(account);

ALTER TABLE ONLY public.quota_leases
    ADD CONSTRAINT quota_leases_holder_item_month_fkey FOREIGN KEY (holder, item, month) REFERENCES public.quota(holder, item, month) ON DELETE CASCADE;

ALTER TABLE ONLY public.recovery_codes
    ADD CONSTRAINT recovery_codes_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(account);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(account);

ALTER TABLE public.alert_log ENABLE ROW LEVEL SECURITY;

CREATE POLICY sight ON public.alert_log FOR SELECT TO kouan_reader USING (((dataset = ANY (ARRAY( SELECT unnest((current_setting('kouan.whole'::text))::text[]) AS unnest))) OR (dataset = ANY (ARRAY( SELECT unnest((current_setting('kouan.own'::text))::text[]) AS unnest)))));

REVOKE ALL ON FUNCTION public.register_position() FROM PUBLIC;
GRANT ALL ON FUNCTION public.register_position() TO kouan_reader;

GRANT SELECT ON TABLE public.alert_log TO kouan_reader;
