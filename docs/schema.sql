-- The journals' own tables, as all migrations in domain/migrations make them. Read models are rebuilt, not migrated.
-- Made by `python -m tests.schema_dump > docs/schema.sql`; do not edit.

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

CREATE TABLE public.commerce_events (
    originator_id text NOT NULL COLLATE pg_catalog."C",
    originator_version bigint NOT NULL,
    topic text NOT NULL COLLATE pg_catalog."C",
    state bytea NOT NULL,
    notification_id bigint NOT NULL,
    fact_id uuid NOT NULL
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

CREATE TABLE public.schema_migrations (
    number integer NOT NULL,
    name text NOT NULL
);

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

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (number);

CREATE UNIQUE INDEX cargo_events_fact_id ON public.cargo_events USING btree (fact_id);

CREATE UNIQUE INDEX cargo_events_position ON public.cargo_events USING btree (notification_id);

CREATE INDEX cargo_messages_document ON public.cargo_messages USING btree (source, document) WHERE (document <> ''::text);

CREATE INDEX cargo_quarantine_newest ON public.cargo_quarantine USING btree (first_seen DESC, message_id DESC);

CREATE INDEX cargo_quarantine_state ON public.cargo_quarantine USING btree (state, first_seen);

CREATE INDEX cargo_transmissions_mends ON public.cargo_transmissions USING btree (mends) WHERE (mends IS NOT NULL);

CREATE UNIQUE INDEX commerce_events_fact_id ON public.commerce_events USING btree (fact_id);

CREATE UNIQUE INDEX commerce_events_position ON public.commerce_events USING btree (notification_id);

CREATE INDEX customs_outbox_due ON public.customs_outbox USING btree (next_at) WHERE (state = 'waiting'::text);

CREATE INDEX customs_outbox_subject ON public.customs_outbox USING btree (subject, "position");

CREATE INDEX dcsa_subscriptions_account ON public.dcsa_subscriptions USING btree (account, created_at);
