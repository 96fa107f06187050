-- Subscriptions take effect at once, everywhere: they belong to the register on which every look and delivery rests.

DROP INDEX commerce_register;
CREATE INDEX commerce_register ON commerce_events (notification_id)
    WHERE split_part(topic, '.', 1) IN ('party', 'dataset', 'permission', 'agreement', 'subscription');
CREATE OR REPLACE FUNCTION register_position() RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
    RETURN coalesce((
        SELECT max(notification_id)
        FROM commerce_events
        WHERE split_part(topic, '.', 1) IN ('party', 'dataset', 'permission', 'agreement', 'subscription')
    ), 0);

-- How many units of what is included or ordered have been handed to processes this month. What a process holds it may
-- still give back; a limit is never exceeded, for a unit is counted here before the work that needs it begins.
CREATE TABLE quota (
    holder  text COLLATE "C" NOT NULL,            -- party, or account:NAME (domain/subscription.py)
    item    text COLLATE "C" NOT NULL,
    month   text COLLATE "C" NOT NULL,            -- YYYY-MM, Asia/Shanghai
    granted bigint NOT NULL CHECK (granted >= 0),
    warned  smallint NOT NULL DEFAULT 0,          -- per cent of which the holder was told last: 80, 100
    PRIMARY KEY (holder, item, month)
);
CREATE TABLE quota_leases (                       -- what each process was handed; a dead one's rest comes back from here
    process text COLLATE "C" NOT NULL,            -- its stream of deliveries
    holder  text COLLATE "C" NOT NULL,
    item    text COLLATE "C" NOT NULL,
    month   text COLLATE "C" NOT NULL,
    held    bigint NOT NULL,                      -- units handed out less units given back: used, or lying there
    until   timestamptz NOT NULL,                 -- the process hands out none after that
    PRIMARY KEY (process, holder, item, month),
    FOREIGN KEY (holder, item, month) REFERENCES quota ON DELETE CASCADE
);
CREATE INDEX quota_leases_until ON quota_leases (until);
