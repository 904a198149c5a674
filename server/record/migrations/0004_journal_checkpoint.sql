-- Signed checkpoints of the journal; what they say is described in server/journal/checkpoint.py. The same ones stand in a
-- file outside the journal, so that whoever changes one of the three places is told by the other two.
CREATE TABLE riskgate.journal_checkpoint (
    shard integer NOT NULL CHECK (shard >= 0),
    shards integer NOT NULL CHECK (shards > shard),
    number bigint NOT NULL CHECK (number > 0),
    -- Copied from the envelope to be found by; only what is signed counts.
    segment bigint NOT NULL,
    first_entry bigint NOT NULL,
    entry_count bigint NOT NULL,
    made_at timestamptz NOT NULL,
    -- DSSE envelope as signed, canonical JSON.
    envelope bytea NOT NULL,
    -- Eight bytes per entry: name an altered one. Not compressible.
    fingerprints bytea STORAGE EXTERNAL NOT NULL,
    PRIMARY KEY (shard, shards, number)
);

-- Against accidents; whoever may drop a trigger finds that the checkpoints no longer agree.
CREATE FUNCTION riskgate.refuse_checkpoint_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'checkpoints of the journal are never changed' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER journal_checkpoint_stays BEFORE UPDATE OR DELETE ON riskgate.journal_checkpoint
    FOR EACH ROW EXECUTE FUNCTION riskgate.refuse_checkpoint_change();
CREATE TRIGGER journal_checkpoints_stay BEFORE TRUNCATE ON riskgate.journal_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION riskgate.refuse_checkpoint_change();
