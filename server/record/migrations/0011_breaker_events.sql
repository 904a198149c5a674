-- Trips of breakers as the engines' journals tell them, and what routers made of the directives.

-- What has happened stays when its breaker is deleted; names are those of that moment.
ALTER TABLE riskgate.circuit_breaker_event
    DROP CONSTRAINT circuit_breaker_event_breaker_id_fkey,
    ALTER COLUMN breaker_id DROP NOT NULL,
    ADD CONSTRAINT circuit_breaker_event_breaker_id_fkey
        FOREIGN KEY (breaker_id) REFERENCES riskgate.circuit_breaker ON DELETE SET NULL,
    ADD COLUMN account_id text NOT NULL DEFAULT '',
    ADD COLUMN breaker_name text NOT NULL DEFAULT '',
    -- Of the entry that tells it: shard, epoch, and the directive's number in that engine.
    ADD COLUMN shard integer,
    ADD COLUMN epoch bigint,
    ADD COLUMN sequence bigint,
    ADD COLUMN directive_id bigint CHECK (directive_id > 0),
    ADD COLUMN acknowledged_at timestamptz,
    -- Identity of the caller; empty: it had no certificate.
    ADD COLUMN acknowledged_by text,
    ADD CONSTRAINT circuit_breaker_event_comes_whole
        CHECK (num_nulls(shard, epoch, sequence, directive_id) IN (0, 4)),
    ADD CONSTRAINT circuit_breaker_event_once UNIQUE (shard, epoch, directive_id);
CREATE INDEX circuit_breaker_event_of_directive
    ON riskgate.circuit_breaker_event (shard, directive_id, event_id DESC);
