-- In which order the messages of one document count: by their sending, not by their arrival.

ALTER TABLE cargo_messages
    ADD COLUMN function text COLLATE "C" NOT NULL DEFAULT 'original',   -- original, supersede, replace, cancel
    ADD COLUMN sent_at  timestamptz;                                    -- from the message's header, or told with it
