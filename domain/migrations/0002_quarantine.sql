-- The quarantine desk: who mended or dismissed what, and which transmission mends which message.

ALTER TABLE cargo_transmissions
    ADD COLUMN sent_at timestamptz,                 -- told with the request, where the format bears no year
    ADD COLUMN mends   uuid;                        -- the quarantined message that this one was sent for, by an operator
CREATE INDEX cargo_transmissions_mends ON cargo_transmissions (mends) WHERE mends IS NOT NULL;

ALTER TABLE cargo_quarantine
    ADD COLUMN fault_in    uuid,                    -- the message that the fault lies in, if not this: a mended one, faulty again
    ADD COLUMN replayed_as uuid,                    -- mended: the message that was recorded for it
    ADD COLUMN reason      text,                    -- why it was dismissed, or what was accepted
    ADD COLUMN resolved_by text,                    -- account
    ADD COLUMN resolved_at timestamptz;
CREATE INDEX cargo_quarantine_newest ON cargo_quarantine (first_seen DESC, message_id DESC);
