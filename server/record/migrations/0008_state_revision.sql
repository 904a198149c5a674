-- Which change of its entity each change is. The sum of the newest revisions of all entities is the newest version,
-- so a reader of the shared state notices that an entity was set back to an earlier, once true content, or hidden.
ALTER TABLE riskgate.state_change ADD COLUMN revision bigint CHECK (revision > 0);
UPDATE riskgate.state_change AS change SET revision = counted.revision
    FROM (SELECT version, row_number() OVER (PARTITION BY kind, key ORDER BY version) AS revision
          FROM riskgate.state_change) AS counted
    WHERE counted.version = change.version;
ALTER TABLE riskgate.state_change ALTER COLUMN revision SET NOT NULL;
