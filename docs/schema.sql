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

CREATE TRIGGER listed_items_stand BEFORE DELETE OR UPDATE OR TRUNCATE ON public.listed_items FOR EACH STATEMENT EXECUTE FUNCTION public.tariff_stands();

CREATE TRIGGER published_tariffs_stand BEFORE DELETE OR UPDATE OR TRUNCATE ON public.published_tariffs FOR EACH STATEMENT EXECUTE FUNCTION public.tariff_stands();

CREATE TRIGGER tariff_kept AFTER INSERT ON public.commerce_events FOR EACH ROW WHEN ((new.topic = ANY (ARRAY['catalogue.item_listed'::text, 'catalogue.tariff_published'::text]))) EXECUTE FUNCTION public.tariff_kept();

ALTER TABLE ONLY public.account_links
    ADD CONSTRAINT account_links_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(account);

ALTER TABLE ONLY public.account_links
    ADD CONSTRAINT account_links_issuer_fkey FOREIGN KEY (issuer) REFERENCES public.trusted_issuers(issuer) ON DELETE CASCADE;

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(account);

ALTER TABLE ONLY public.ca_crls
    ADD CONSTRAINT ca_crls_ca_fkey FOREIGN KEY (ca) REFERENCES public.trusted_cas(name);

ALTER TABLE ONLY public.cards
    ADD CONSTRAINT cards_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(account);

ALTER TABLE ONLY public.exports
    ADD CONSTRAINT exports_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(account);

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
