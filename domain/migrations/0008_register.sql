-- The register: who is a party, who owns which dataset, who permitted what. Its facts stand in the commerce journal.

CREATE INDEX commerce_register ON commerce_events (notification_id)
    WHERE split_part(topic, '.', 1) IN ('party', 'dataset', 'permission', 'agreement');

-- The position of the newest fact of the register; 0 if there is none. Those who read cargo may know it, and no more.
CREATE FUNCTION register_position() RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
    RETURN coalesce((
        SELECT max(notification_id)
        FROM commerce_events
        WHERE split_part(topic, '.', 1) IN ('party', 'dataset', 'permission', 'agreement')
    ), 0);
REVOKE ALL ON FUNCTION register_position() FROM PUBLIC;

-- The role under which answers are read: it owns nothing, and sees of cargo what row-level security lets it see. Roles
-- belong to the whole server; where ours may not make one, whoever runs the server has made it and granted it to us.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kouan_reader') THEN
        CREATE ROLE kouan_reader NOLOGIN NOBYPASSRLS NOINHERIT;
    END IF;
    IF NOT pg_has_role(current_user, 'kouan_reader', 'MEMBER') THEN
        EXECUTE format('GRANT kouan_reader TO %I', current_user);
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN
        NULL;  -- another database of this server has just made it
    WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('run as an administrator: CREATE ROLE kouan_reader NOLOGIN; GRANT kouan_reader TO %I;', current_user);
END
$$;
GRANT EXECUTE ON FUNCTION register_position() TO kouan_reader;
