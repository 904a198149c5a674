-- The audit log becomes a chain: each row holds the SHA-256 of the one before and of itself, so that whoever changes one
-- has to change all that follow, and the signed heads outside PostgreSQL (server/security/heads.py) tell that too.

DROP TRIGGER audit_log_append_only ON riskgate.audit_log;

-- Numbers come from the head: an identity column would leave gaps, and a gap is how a deleted row shows.
ALTER TABLE riskgate.audit_log ALTER COLUMN audit_id DROP IDENTITY;
ALTER TABLE riskgate.audit_log DROP CONSTRAINT audit_log_subject_check;
ALTER TABLE riskgate.audit_log
    ADD CHECK (audit_id > 0),
    -- By certificate, or the name of one of our own processes. Empty: not known (rows from before this migration).
    ADD COLUMN identity text NOT NULL DEFAULT '' CHECK (octet_length(identity) <= 256),
    -- Network address without its port. Empty: not over a network.
    ADD COLUMN address text NOT NULL DEFAULT '' CHECK (octet_length(address) <= 64),
    -- Path of the method. Empty: not by a call.
    ADD COLUMN method text NOT NULL DEFAULT '' CHECK (octet_length(method) <= 160),
    ADD COLUMN outcome text NOT NULL DEFAULT 'done'
        CHECK (outcome IN ('done', 'unchanged', 'denied', 'refused')),
    -- Of the row before; 32 zero bytes in the first.
    ADD COLUMN previous_hash riskgate.sha256,
    -- Of previous_hash and this row as canonical JSON; see server/record/audit.py.
    ADD COLUMN hash riskgate.sha256,
    -- Kept as it was written: what is hashed must not be spelled anew.
    ALTER COLUMN old_value TYPE json USING old_value::json,
    ALTER COLUMN new_value TYPE json USING new_value::json;
CREATE INDEX audit_log_of_identity ON riskgate.audit_log (identity, audit_id);

-- One row, locked by whoever appends until it commits. Lock order: state_version, then this.
CREATE TABLE riskgate.audit_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    row_count bigint NOT NULL CHECK (row_count >= 0),
    newest_hash riskgate.sha256 NOT NULL
);

-- Rows that are there already are numbered without gaps and chained as they stand.
DO $$
DECLARE
    old riskgate.audit_log;
    place bigint := 0;
    before bytea := decode(repeat('00', 32), 'hex');
    own bytea;
BEGIN
    FOR old IN SELECT * FROM riskgate.audit_log ORDER BY audit_id LOOP
        place := place + 1;
        own := pg_catalog.sha256(before || convert_to(concat(
            '{"action":', to_json(old.action), ',"actor":', to_json(old.actor),
            ',"address":', to_json(old.address), ',"audit_id":', place,
            ',"identity":', to_json(old.identity), ',"method":', to_json(old.method),
            ',"new_value":', coalesce(old.new_value::text, 'null'),
            ',"occurred_at_us":', (extract(epoch FROM old.occurred_at) * 1000000)::bigint,
            ',"old_value":', coalesce(old.old_value::text, 'null'),
            ',"outcome":', to_json(old.outcome), ',"reason":', to_json(old.reason::text),
            ',"state_version":', coalesce(old.state_version::text, 'null'),
            ',"subject":', to_json(old.subject), ',"subject_key":', to_json(old.subject_key), '}'
        ), 'UTF8'));
        UPDATE riskgate.audit_log SET audit_id = place, previous_hash = before, hash = own
            WHERE audit_id = old.audit_id;
        before := own;
    END LOOP;
    INSERT INTO riskgate.audit_head (row_count, newest_hash) VALUES (place, before);
END $$;
ALTER TABLE riskgate.audit_log
    ALTER COLUMN previous_hash SET NOT NULL,
    ALTER COLUMN hash SET NOT NULL;

-- Against accidents; whoever may drop a trigger finds that the chain and its heads tell.
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON riskgate.audit_log
    FOR EACH ROW EXECUTE FUNCTION riskgate.refuse_change();
CREATE TRIGGER audit_log_stays BEFORE TRUNCATE ON riskgate.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION riskgate.refuse_change();
CREATE TRIGGER audit_head_stays BEFORE DELETE ON riskgate.audit_head
    FOR EACH ROW EXECUTE FUNCTION riskgate.refuse_change();

-- Unusual behaviour that a rule has found (server/security/anomalies.py).
CREATE TABLE riskgate.anomaly (
    anomaly_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    rule text NOT NULL CHECK (octet_length(rule) BETWEEN 1 AND 64),
    identity text NOT NULL CHECK (octet_length(identity) <= 256),
    observed bigint NOT NULL CHECK (observed >= 0),
    threshold bigint NOT NULL CHECK (threshold > 0),
    frozen boolean NOT NULL DEFAULT false
);
CREATE TRIGGER anomaly_append_only BEFORE UPDATE OR DELETE ON riskgate.anomaly
    FOR EACH ROW EXECUTE FUNCTION riskgate.refuse_change();

-- How far the recorder has taken over the calls that an engine denied, so that none is told twice.
CREATE TABLE riskgate.denial_offset (
    file text PRIMARY KEY CHECK (octet_length(file) BETWEEN 1 AND 128),
    line_count bigint NOT NULL CHECK (line_count > 0),
    updated_at timestamptz NOT NULL DEFAULT now()
);
