-- What leaves for customs: filled from the journal in its order, emptied by the customs port, never rebuilt.

CREATE TABLE customs_outbox (
    message_id uuid PRIMARY KEY,                    -- the message's own id: that of the fact that says it
    position   bigint NOT NULL,                     -- of that fact
    subject    text COLLATE "C" NOT NULL,           -- its stream; messages of one declaration leave in order
    action     text NOT NULL,                       -- lodge, amend, complete, withdraw, delete
    state      text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'refused')),
    attempts   integer NOT NULL DEFAULT 0,
    next_at    timestamptz NOT NULL DEFAULT now(),  -- waiting: not before; while it is being sent, the end of the lease
    settled_at timestamptz,
    answer     text NOT NULL DEFAULT ''             -- what customs said last, or why it could not be reached
);
CREATE INDEX customs_outbox_subject ON customs_outbox (subject, position);
CREATE INDEX customs_outbox_due ON customs_outbox (next_at) WHERE state = 'waiting';

CREATE TABLE customs_outbox_position (
    single   boolean PRIMARY KEY DEFAULT true CHECK (single),
    position bigint NOT NULL                        -- of the cargo journal, up to which the outbox was filled
);
INSERT INTO customs_outbox_position VALUES (true, 0);
