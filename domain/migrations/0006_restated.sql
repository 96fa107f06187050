-- A fact that a source states under more than one document stands until the last of them takes it back.

CREATE TABLE cargo_restated (
    fact_id    uuid NOT NULL,
    message_id uuid NOT NULL,   -- it states the fact under another document than the message that stated it first
    PRIMARY KEY (fact_id, message_id)
);
