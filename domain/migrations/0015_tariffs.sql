-- What was ever offered at a price: no usage can be rated by anything else. Filled by the journal itself, in the
-- transaction of the fact; never rebuilt, never changed (docs/decisions/016-tariffs.md).

CREATE TABLE listed_items (
    item       text COLLATE "C" PRIMARY KEY,
    item_class text NOT NULL CHECK (item_class IN ('government', 'commercial')),
    UNIQUE (item, item_class)
);
CREATE TABLE published_tariffs (
    item           text COLLATE "C" NOT NULL,
    version        text COLLATE "C" NOT NULL,
    item_class     text NOT NULL DEFAULT 'commercial' CHECK (item_class = 'commercial'),  -- a government item has none
    price_minor    bigint NOT NULL CHECK (price_minor >= 0),                              -- fen; of another rule than "each unit" what is shown first
    currency       text NOT NULL,
    published_at   timestamptz NOT NULL,
    effective_from timestamptz NOT NULL CHECK (effective_from >= published_at),           -- for nothing that was used before
    position       bigint NOT NULL,                                                       -- of the commerce journal
    PRIMARY KEY (item, version),
    FOREIGN KEY (item, item_class) REFERENCES listed_items (item, item_class)
);

-- What cannot stand here cannot be written into the journal either.
CREATE FUNCTION tariff_told(tag text, state bytea, at bigint) RETURNS void
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
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
CREATE FUNCTION tariff_kept() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM tariff_told(NEW.topic, NEW.state, NEW.notification_id);
    RETURN NULL;
END
$$;
SELECT tariff_told(topic, state, notification_id)
FROM (
    SELECT topic, state, notification_id
    FROM commerce_events
    WHERE topic IN ('catalogue.item_listed', 'catalogue.tariff_published')
    ORDER BY notification_id
) AS told;
CREATE TRIGGER tariff_kept AFTER INSERT ON commerce_events
    FOR EACH ROW WHEN (NEW.topic IN ('catalogue.item_listed', 'catalogue.tariff_published'))
    EXECUTE FUNCTION tariff_kept();

CREATE FUNCTION tariff_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE restrict_violation USING MESSAGE = format('%s is never changed', TG_TABLE_NAME);
END
$$;
CREATE TRIGGER listed_items_stand BEFORE UPDATE OR DELETE OR TRUNCATE ON listed_items
    FOR EACH STATEMENT EXECUTE FUNCTION tariff_stands();
CREATE TRIGGER published_tariffs_stand BEFORE UPDATE OR DELETE OR TRUNCATE ON published_tariffs
    FOR EACH STATEMENT EXECUTE FUNCTION tariff_stands();
