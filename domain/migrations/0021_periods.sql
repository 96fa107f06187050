-- What the books refuse: a statement more for a month that has all of its own, and money on what is free.

CREATE FUNCTION books_refuse() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    told json := convert_from(NEW.state, 'UTF8')::json;
    adjusted text COLLATE "C" := coalesce(told->'proposed'->>'item', told->>'item');
BEGIN
    IF NEW.topic = 'statement.issued' THEN
        IF EXISTS (
            SELECT FROM commerce_events
            WHERE originator_id = 'period:' || (told->>'period') AND topic = 'period.statements_issued'
        ) THEN
            RAISE check_violation USING MESSAGE = format('all statements of %s are issued', told->>'period');
        END IF;
    ELSIF NOT EXISTS (SELECT FROM listed_items WHERE item = adjusted AND item_class = 'commercial') THEN
        RAISE check_violation USING MESSAGE = format('%s has no price: there is nothing to adjust', adjusted);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER books_refuse AFTER INSERT ON commerce_events
    FOR EACH ROW WHEN (NEW.topic IN ('statement.issued', 'adjustment.proposed', 'adjustment.approved'))
    EXECUTE FUNCTION books_refuse();
