-- What came and went of alerts, in the order in which this node noticed: for pushing them (api/push/alert_source.py).
-- The read model `alerts` says what is amiss; it has no order of its own, for an alert is raised by the clock.

CREATE TABLE alert_log (
    position   bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    alert_id   uuid NOT NULL,
    event      text COLLATE "C" NOT NULL CHECK (event IN ('raised', 'ended')),
    noticed_at timestamptz NOT NULL,
    subject    text COLLATE "C" NOT NULL,
    dataset    text COLLATE "C" NOT NULL,          -- of the rule
    alert      bytea NOT NULL                      -- JSON: Alert of projections/alerts.py, as it was noticed
);
CREATE INDEX alert_log_alert ON alert_log (alert_id, position);
CREATE INDEX alert_log_noticed_at ON alert_log (noticed_at);
CREATE TABLE alerts_standing (                     -- those that were raised, and have not ended: what to compare with
    code      text COLLATE "C" NOT NULL,
    subject   text COLLATE "C" NOT NULL,
    cause     uuid NOT NULL,
    condition text COLLATE "C" NOT NULL,
    alert_id  uuid NOT NULL,
    PRIMARY KEY (subject, code, cause)
);
CREATE TABLE alert_log_seen (                      -- one row
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bigint NOT NULL                       -- of the cargo journal, up to which `alerts` had come; behind it, it
);                                                 -- is being built again, and nothing has ended
INSERT INTO alert_log_seen (position) VALUES (0);
ALTER TABLE alert_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY sight ON alert_log FOR SELECT TO kouan_reader USING (                      -- of one's own the query asks further
    dataset = ANY (ARRAY(SELECT unnest(current_setting('kouan.whole')::text[])))
    OR dataset = ANY (ARRAY(SELECT unnest(current_setting('kouan.own')::text[])))
);
GRANT SELECT ON alert_log TO kouan_reader;
