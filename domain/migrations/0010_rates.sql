-- What each caller has used lately, for the limits that all processes share; a crash empties it, and all begin anew.

CREATE UNLOGGED TABLE rates (
    bucket  bytea PRIMARY KEY,         -- digest of policy and caller: nobody can read from it who called
    policy  text NOT NULL,
    tokens  integer NOT NULL,          -- that may be handed out in any window
    slice   bigint NOT NULL,           -- number of the newest tenth of a window, since 1970
    used    integer[] NOT NULL,        -- tokens handed out in that slice and in the ten before it, newest first
    granted integer NOT NULL,          -- of them to whoever asked last
    touched double precision NOT NULL, -- seconds since 1970
    idle_at double precision NOT NULL  -- from then on the row says nothing
) WITH (fillfactor = 50);
