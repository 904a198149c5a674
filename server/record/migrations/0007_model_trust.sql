-- Models and trust: every step of the lifecycle, what was proposed, who signed it, and a ledger of all moves.

-- Names said that somebody approved; from here on only signatures do. What was approved or active so is tested anew, and
-- until then no model speaks: rows of a layout that nobody knows make control say so when it starts.
DROP TABLE riskgate.approval;
UPDATE riskgate.policy SET is_active = false WHERE is_active;
UPDATE riskgate.state_change SET layout_version = 2147483647 WHERE kind IN (8, 9);

DROP TRIGGER model_version_sealed ON riskgate.model_version;
ALTER TABLE riskgate.model_version
    DROP CONSTRAINT model_version_status_check,
    -- Key that signed the release; empty: of a version from before this migration.
    ADD COLUMN author_keyid text NOT NULL DEFAULT '' CHECK (author_keyid ~ '^([0-9a-f]{64})?$'),
    -- Training data and hyperparameters of the manifest, encrypted for this row; bytes 2 to 9 name the key. NULL: none.
    ADD COLUMN sealed_parameters bytea STORAGE EXTERNAL CHECK (octet_length(sealed_parameters) BETWEEN 37 AND 1048576);
-- They no longer stand in clear, and golden rows in the artifact alone.
UPDATE riskgate.model_version SET manifest = manifest - '{hyperparameters,training,golden}'::text[],
    status = CASE WHEN status IN ('approved', 'active') THEN 'testing' ELSE status END;
ALTER TABLE riskgate.model_version
    ALTER COLUMN status SET DEFAULT 'registered',
    ADD CONSTRAINT model_version_status_check CHECK (status IN ('registered', 'training', 'trained', 'testing',
        'approved', 'shadow', 'canary', 'active', 'deprecated', 'archived', 'rejected', 'revoked')),
    ADD CONSTRAINT model_version_keeps_no_secrets
        CHECK (NOT manifest ?| '{hyperparameters,training,golden}'::text[]);

-- What was signed never changes, serials only rise, and what was revoked stays so. Sealed parameters may be encrypted with
-- a newer key, but neither appear nor disappear.
CREATE OR REPLACE FUNCTION riskgate.refuse_sealed_model_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR (OLD.purpose, OLD.version, OLD.algorithm, OLD.digest, OLD.author, OLD.author_keyid,
            OLD.manifest, OLD.pushed_at, OLD.sealed_parameters IS NULL) IS DISTINCT FROM (NEW.purpose, NEW.version,
            NEW.algorithm, NEW.digest, NEW.author, NEW.author_keyid, NEW.manifest, NEW.pushed_at,
            NEW.sealed_parameters IS NULL)
            OR NEW.serial < OLD.serial OR (OLD.status = 'revoked' AND NEW.status <> 'revoked') THEN
        RAISE EXCEPTION 'model version is sealed' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER model_version_sealed BEFORE UPDATE OR DELETE ON riskgate.model_version
    FOR EACH ROW EXECUTE FUNCTION riskgate.refuse_sealed_model_change();
CREATE TRIGGER model_version_never_emptied BEFORE TRUNCATE ON riskgate.model_version
    FOR EACH STATEMENT EXECUTE FUNCTION riskgate.refuse_change();

-- One statement that approvers were asked to sign; the newest of a version is the current one.
CREATE TABLE riskgate.activation_proposal (
    proposal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    purpose riskgate.identifier NOT NULL,
    version text NOT NULL,
    serial bigint NOT NULL CHECK (serial > 0),
    not_before timestamptz NOT NULL,
    expires timestamptz NOT NULL,
    -- Canonical JSON, the very bytes that are signed.
    statement bytea NOT NULL CHECK (octet_length(statement) BETWEEN 2 AND 16384),
    identity text NOT NULL CHECK (octet_length(identity) BETWEEN 1 AND 256),
    reason riskgate.note NOT NULL CHECK (reason <> ''),
    proposed_at timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (purpose, version) REFERENCES riskgate.model_version ON DELETE RESTRICT,
    CONSTRAINT activation_proposal_lasts_a_day CHECK (expires > not_before
        AND expires <= not_before + interval '24 hours')
);
CREATE INDEX activation_proposal_of_version
    ON riskgate.activation_proposal (purpose, version, proposal_id DESC);
CREATE TRIGGER activation_proposal_append_only BEFORE UPDATE OR DELETE ON riskgate.activation_proposal
    FOR EACH ROW EXECUTE FUNCTION riskgate.refuse_change();
CREATE TRIGGER activation_proposal_never_emptied BEFORE TRUNCATE ON riskgate.activation_proposal
    FOR EACH STATEMENT EXECUTE FUNCTION riskgate.refuse_change();

-- One person's signature of a proposal: the envelope as it was sent and verified.
CREATE TABLE riskgate.approval (
    proposal_id bigint NOT NULL REFERENCES riskgate.activation_proposal ON DELETE RESTRICT,
    keyid text NOT NULL CHECK (keyid ~ '^[0-9a-f]{64}$'),
    person text NOT NULL CHECK (octet_length(person) BETWEEN 1 AND 128),
    key_group text NOT NULL CHECK (key_group IN ('risk', 'technology')),
    envelope bytea NOT NULL CHECK (octet_length(envelope) BETWEEN 2 AND 65536),
    identity text NOT NULL CHECK (octet_length(identity) BETWEEN 1 AND 256),
    reason riskgate.note NOT NULL CHECK (reason <> ''),
    approved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (proposal_id, keyid),
    CONSTRAINT approval_once_per_person UNIQUE (proposal_id, person)
);
CREATE TRIGGER approval_append_only BEFORE UPDATE OR DELETE ON riskgate.approval
    FOR EACH ROW EXECUTE FUNCTION riskgate.refuse_change();
CREATE TRIGGER approval_never_emptied BEFORE TRUNCATE ON riskgate.approval
    FOR EACH STATEMENT EXECUTE FUNCTION riskgate.refuse_change();

-- Every move of every version, in order without gaps; leaves of a Merkle tree (RFC 9162, SHA-256).
CREATE TABLE riskgate.ledger_entry (
    entry_id bigint PRIMARY KEY CHECK (entry_id > 0),
    -- Canonical JSON with the number of this entry and the leaf hash of the entry before.
    entry text NOT NULL CHECK (octet_length(entry) BETWEEN 2 AND 16384),
    leaf_hash riskgate.sha256 NOT NULL
);
CREATE TRIGGER ledger_entry_append_only BEFORE UPDATE OR DELETE ON riskgate.ledger_entry
    FOR EACH ROW EXECUTE FUNCTION riskgate.refuse_change();
CREATE TRIGGER ledger_entry_never_emptied BEFORE TRUNCATE ON riskgate.ledger_entry
    FOR EACH STATEMENT EXECUTE FUNCTION riskgate.refuse_change();

ALTER TABLE riskgate.deployment_event
    ADD COLUMN status_before text NOT NULL DEFAULT '' CHECK (status_before IN ('', 'registered', 'training',
        'trained', 'testing', 'approved', 'shadow', 'canary', 'active', 'deprecated', 'archived', 'rejected', 'revoked')),
    ADD COLUMN status_after text NOT NULL DEFAULT '' CHECK (status_after IN ('', 'registered', 'training',
        'trained', 'testing', 'approved', 'shadow', 'canary', 'active', 'deprecated', 'archived', 'rejected', 'revoked')),
    ADD COLUMN identity text NOT NULL DEFAULT '' CHECK (octet_length(identity) <= 256),
    -- Serialised ActivationProof of what speaks from this event on; NULL: the event changes nothing about that.
    ADD COLUMN proof bytea CHECK (octet_length(proof) BETWEEN 1 AND 262144),
    -- Of an event from before the ledger: NULL.
    ADD COLUMN ledger_entry_id bigint UNIQUE REFERENCES riskgate.ledger_entry ON DELETE RESTRICT,
    DROP CONSTRAINT deployment_event_event_check,
    ADD CONSTRAINT deployment_event_event_check CHECK (event IN ('push', 'propose', 'approve', 'activate',
        'rollback', 'withdraw', 'deprecate', 'revoke', 'move')),
    DROP CONSTRAINT deployment_event_serial_when_active,
    -- A version that is withdrawn takes the serial when nothing speaks in its place.
    ADD CONSTRAINT deployment_event_serial_when_active CHECK (CASE
        WHEN event IN ('activate', 'rollback') THEN serial IS NOT NULL
        ELSE serial IS NULL OR event = 'withdraw' END),
    ADD CONSTRAINT deployment_event_serial_has_proof CHECK ((serial IS NULL) = (proof IS NULL)) NOT VALID,
    DROP CONSTRAINT deployment_event_rollback_has_reason,
    ADD CONSTRAINT deployment_event_has_reason CHECK (event IN ('push', 'deprecate', 'withdraw') OR reason <> '')
        NOT VALID;
CREATE TRIGGER deployment_event_never_emptied BEFORE TRUNCATE ON riskgate.deployment_event
    FOR EACH STATEMENT EXECUTE FUNCTION riskgate.refuse_change();

-- Every time that a version was told to speak, and whether it still does.
CREATE VIEW riskgate.model_deployment AS
SELECT event.event_id AS id,
    event.purpose,
    event.version,
    'artifacts/sha256/' || encode(model.digest, 'hex') AS model_path,
    model.algorithm AS model_type,
    event.occurred_at AS deployed_at,
    model.manifest -> 'metrics' AS metrics_json,
    -- Why the version was withdrawn again, or NULL.
    ended.reason AS rollback_reason,
    model.approved_at IS NOT NULL AS is_promoted,
    model.status = 'active' AND model.serial = event.serial AS is_active,
    event.serial,
    event.identity
FROM riskgate.deployment_event AS event
JOIN riskgate.model_version AS model USING (purpose, version)
LEFT JOIN LATERAL (
    SELECT last.event, last.reason FROM riskgate.deployment_event AS last
    WHERE last.purpose = event.purpose AND last.version = event.version AND last.event_id > event.event_id
        AND last.event IN ('withdraw', 'deprecate', 'revoke')
    ORDER BY last.event_id LIMIT 1
) AS ended ON ended.event IN ('withdraw', 'revoke')
WHERE event.event IN ('activate', 'rollback');
