-- The kill switch: what is killed, who said so and why, and what exercises of it have measured.

-- One row per target; each time only grows, and a kill holds while it is above the re-arming of its mode.
CREATE TABLE riskgate.kill_switch (
    -- riskgate.v1.KillScope
    scope smallint NOT NULL CHECK (scope BETWEEN 1 AND 6),
    -- riskgate.v1.ProviderType of the scope provider, else 0
    provider_type smallint NOT NULL CHECK (provider_type BETWEEN 0 AND 2),
    name text NOT NULL CHECK (octet_length(name) <= 64),
    new_risk_killed_at_ns bigint NOT NULL DEFAULT 0 CHECK (new_risk_killed_at_ns >= 0),
    new_risk_rearmed_at_ns bigint NOT NULL DEFAULT 0 CHECK (new_risk_rearmed_at_ns >= 0),
    all_killed_at_ns bigint NOT NULL DEFAULT 0 CHECK (all_killed_at_ns >= 0),
    all_rearmed_at_ns bigint NOT NULL DEFAULT 0 CHECK (all_rearmed_at_ns >= 0),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, provider_type, name),
    CONSTRAINT kill_switch_names_its_target CHECK ((scope = 1) = (name = '')),
    CONSTRAINT kill_switch_names_a_provider_type CHECK ((scope = 4) = (provider_type <> 0)),
    -- Nobody re-arms what is not known to be killed.
    CONSTRAINT kill_switch_is_rearmed_by_a_known_kill CHECK (new_risk_rearmed_at_ns <= new_risk_killed_at_ns
        AND all_rearmed_at_ns <= all_killed_at_ns)
);

-- A latch: whatever writes here, a kill is not forgotten and a time never goes back.
CREATE FUNCTION riskgate.refuse_earlier_kill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE' OR (OLD.scope, OLD.provider_type, OLD.name) <> (NEW.scope, NEW.provider_type, NEW.name)
            OR NEW.new_risk_killed_at_ns < OLD.new_risk_killed_at_ns
            OR NEW.new_risk_rearmed_at_ns < OLD.new_risk_rearmed_at_ns
            OR NEW.all_killed_at_ns < OLD.all_killed_at_ns OR NEW.all_rearmed_at_ns < OLD.all_rearmed_at_ns THEN
        RAISE EXCEPTION 'a kill switch only latches' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER kill_switch_latches BEFORE UPDATE OR DELETE ON riskgate.kill_switch
    FOR EACH ROW EXECUTE FUNCTION riskgate.refuse_earlier_kill();
CREATE TRIGGER kill_switch_stays BEFORE TRUNCATE ON riskgate.kill_switch
    FOR EACH STATEMENT EXECUTE FUNCTION riskgate.refuse_change();

-- Every kill and re-arming, once for each who has heard it first-hand.
CREATE TABLE riskgate.kill_event (
    kill_event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope smallint NOT NULL,
    provider_type smallint NOT NULL,
    name text NOT NULL,
    is_rearming boolean NOT NULL,
    -- riskgate.v1.KillMode
    mode smallint NOT NULL CHECK (mode IN (1, 2)),
    at_ns bigint NOT NULL CHECK (at_ns > 0),
    caller text NOT NULL CHECK (octet_length(caller) <= 256),
    actor text NOT NULL CHECK (octet_length(actor) <= 64),
    reason riskgate.note NOT NULL CHECK (reason <> ''),
    -- "control" or "engine I/N"
    said_to text NOT NULL CHECK (octet_length(said_to) BETWEEN 1 AND 32),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (scope, provider_type, name) REFERENCES riskgate.kill_switch,
    UNIQUE (scope, provider_type, name, is_rearming, mode, at_ns, said_to)
);
CREATE TRIGGER kill_event_append_only BEFORE UPDATE OR DELETE ON riskgate.kill_event
    FOR EACH ROW EXECUTE FUNCTION riskgate.refuse_change();
CREATE TRIGGER kill_event_stays BEFORE TRUNCATE ON riskgate.kill_event
    FOR EACH STATEMENT EXECUTE FUNCTION riskgate.refuse_change();

-- Kills that engines heard by themselves: the recorder puts them here from their journals, control merges them into the
-- tables above, publishes them to all other engines and takes them out.
CREATE TABLE riskgate.kill_report (
    kill_report_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- A serialised riskgate.v1.StateChange of version 0.
    change bytea NOT NULL CHECK (octet_length(change) BETWEEN 1 AND 4096)
);

-- An exercise on sandbox accounts.
CREATE TABLE riskgate.drill_report (
    drill_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- A serialised riskgate.v1.DrillReport; its content stands in the audit log too.
    report bytea NOT NULL CHECK (octet_length(report) BETWEEN 1 AND 1048576),
    recorded_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER drill_report_append_only BEFORE UPDATE OR DELETE ON riskgate.drill_report
    FOR EACH ROW EXECUTE FUNCTION riskgate.refuse_change();
CREATE TRIGGER drill_report_stays BEFORE TRUNCATE ON riskgate.drill_report
    FOR EACH STATEMENT EXECUTE FUNCTION riskgate.refuse_change();

-- The kill switch may be exercised on it.
ALTER TABLE riskgate.account ADD COLUMN sandbox boolean NOT NULL DEFAULT false;
