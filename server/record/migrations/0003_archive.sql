-- What happened: every decision, prediction, report and hold of the journal, and how far it is recorded.
-- Rows come from the recorder alone, each once: they and the offset move in one transaction. Tables grow by days, so the
-- time stands in every unique key; one partition per UTC day, or hypertables where TimescaleDB runs (below).
-- Numbers are NUMERIC, ratios are fractions, positive slippage is worse. An entry that was journaled is never refused
-- here for what its texts say, so only what our own code fills in is checked.

CREATE TYPE riskgate.prediction_type AS ENUM ('slippage', 'performance_score', 'lot_optimization');

-- The newest journal entry whose rows are here. A writer states the entry it goes on from and finds no row if another
-- was quicker, so nothing is recorded twice, also when the outcome of a commit was not heard.
CREATE TABLE riskgate.journal_offset (
    shard integer NOT NULL CHECK (shard >= 0),
    shards integer NOT NULL CHECK (shards > shard),
    entry_number bigint NOT NULL CHECK (entry_number >= 0),
    epoch bigint NOT NULL CHECK (epoch >= 0),
    sequence bigint NOT NULL CHECK (sequence >= 0),
    -- Clock reading of that entry.
    entry_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, shards)
);

-- Names of the numbers in `decision.checks` and `decision.reasons`; filled by the recorder, append only.
CREATE TABLE riskgate.reason (
    index smallint PRIMARY KEY CHECK (index BETWEEN 0 AND 63),
    code smallint NOT NULL UNIQUE,
    name text NOT NULL UNIQUE,
    unit text NOT NULL
);

CREATE TABLE riskgate.decision (
    epoch bigint NOT NULL CHECK (epoch > 0),
    sequence bigint NOT NULL CHECK (sequence > 0),
    decided_at timestamptz NOT NULL,
    shard integer NOT NULL,
    entry_number bigint NOT NULL,
    account_id text NOT NULL,
    connection_id text NOT NULL,
    client_order_id text NOT NULL,
    signal_id text NOT NULL,
    strategy_id text NOT NULL,
    provider_id text NOT NULL,
    provider_type text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL,
    reduce_only boolean NOT NULL,
    dry_run boolean NOT NULL,
    verdict text NOT NULL,
    mode text NOT NULL,
    durability text NOT NULL,
    lots numeric NOT NULL,
    sl_buffer_pips numeric NOT NULL,
    -- With the buffer. Null: an exit, or no stop was given.
    stop_price numeric,
    performance_score numeric,
    trading_session text NOT NULL,
    reasons smallint[] NOT NULL,
    -- The limit that decided the size or the denial. Null: none.
    binding_reason smallint,
    state_version bigint NOT NULL,
    -- Empty: no model spoke.
    model_version text NOT NULL,
    model_digest bytea NOT NULL,
    policy_version text NOT NULL,
    policy_digest bytea NOT NULL,
    -- From receipt to decision.
    server_ns bigint NOT NULL,
    -- One byte per check in the order of `reason.index`: its riskgate.v1.CheckStatus, 0 where it was not judged.
    checks bytea NOT NULL,
    -- DecideRequest and DecideResponse as they were on the wire.
    request bytea NOT NULL,
    answer bytea NOT NULL,
    PRIMARY KEY (sequence, decided_at, epoch)
) PARTITION BY RANGE (decided_at);
CREATE INDEX decision_by_order ON riskgate.decision (account_id, client_order_id, decided_at)
    WHERE client_order_id <> '';
CREATE INDEX decision_by_time ON riskgate.decision USING brin (decided_at);

-- The numbers of the check that bound a decision; no row where none did.
CREATE TABLE riskgate.decision_binding (
    epoch bigint NOT NULL,
    sequence bigint NOT NULL,
    decided_at timestamptz NOT NULL,
    reason smallint NOT NULL,
    status text NOT NULL,
    unit text NOT NULL,
    -- In that unit; null where the check has no numbers or the instrument is unknown.
    limit_value numeric,
    observed numeric,
    lots_max numeric,
    PRIMARY KEY (sequence, decided_at, epoch)
) PARTITION BY RANGE (decided_at);

CREATE TABLE riskgate.execution_log (
    epoch bigint NOT NULL CHECK (epoch > 0),
    sequence bigint NOT NULL CHECK (sequence > 0),
    reported_at timestamptz NOT NULL,
    shard integer NOT NULL,
    entry_number bigint NOT NULL,
    report_id text NOT NULL,
    account_id text NOT NULL,
    outcome text NOT NULL,
    kind text NOT NULL,
    -- The decision it belongs to. Null: none is known.
    decision_epoch bigint,
    decision_sequence bigint,
    decided_at timestamptz,
    client_order_id text NOT NULL,
    connection_id text NOT NULL,
    signal_id text NOT NULL,
    provider_id text NOT NULL,
    provider_type text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL,
    position_id text NOT NULL,
    lots numeric,
    cumulative_lots numeric,
    price numeric,
    -- What the price is compared with: the entry price for fills, the stop for closes at the stop.
    expected_price numeric,
    -- In price units, positive is worse. Pips are derived, so that no two of them disagree.
    slippage numeric,
    pip_size numeric,
    slippage_pips numeric GENERATED ALWAYS AS (slippage / pip_size) STORED,
    realised_pnl numeric,
    commission numeric,
    event_at timestamptz NOT NULL,
    -- From decision to fill, market orders only.
    latency_ms numeric,
    market_atr numeric,
    volatility_index numeric,
    trading_session text NOT NULL,
    day_of_week smallint NOT NULL CHECK (day_of_week BETWEEN 1 AND 7),
    -- Of the account after the report.
    equity numeric NOT NULL,
    held_lots numeric NOT NULL,
    position_lots numeric NOT NULL,
    -- ReportExecutionRequest as it was on the wire.
    request bytea NOT NULL,
    PRIMARY KEY (sequence, reported_at, epoch)
) PARTITION BY RANGE (reported_at);
CREATE INDEX execution_log_by_position
    ON riskgate.execution_log (account_id, position_id, reported_at) WHERE position_id <> '';
CREATE INDEX execution_log_by_provider
    ON riskgate.execution_log (provider_id, provider_type, event_at);
CREATE INDEX execution_log_by_time ON riskgate.execution_log USING brin (reported_at);

CREATE TABLE riskgate.prediction (
    epoch bigint NOT NULL,
    sequence bigint NOT NULL,
    prediction_type riskgate.prediction_type NOT NULL,
    created_at timestamptz NOT NULL,
    -- The report that filled it; null again once that row is deleted.
    execution_sequence bigint,
    execution_at timestamptz,
    execution_epoch bigint,
    signal_id text NOT NULL,
    connection_id text NOT NULL,
    account_id text NOT NULL,
    provider_id text NOT NULL,
    provider_type text NOT NULL,
    symbol text NOT NULL,
    trading_session text NOT NULL,
    day_of_week smallint NOT NULL CHECK (day_of_week BETWEEN 1 AND 7),
    market_atr numeric,
    volatility_index numeric,
    -- Pips, points or lots, as the type says; the median where the model gives quantiles.
    predicted_value numeric NOT NULL CHECK (predicted_value BETWEEN -1e15 AND 1e15),
    predicted_q90 numeric CHECK (predicted_q90 BETWEEN -1e15 AND 1e15),
    confidence_fraction numeric NOT NULL DEFAULT 0 CHECK (confidence_fraction BETWEEN 0 AND 1),
    actual_value numeric CHECK (actual_value BETWEEN -1e15 AND 1e15),
    -- 1 − |predicted − actual| / max(|predicted|, |actual|), 0 if that is negative, 1 where both are 0.
    accuracy_fraction numeric CHECK (accuracy_fraction BETWEEN 0 AND 1),
    filled_at timestamptz,
    model_version text NOT NULL,
    model_algorithm text NOT NULL,
    model_digest bytea NOT NULL,
    PRIMARY KEY (sequence, created_at, epoch, prediction_type),
    CONSTRAINT prediction_is_filled_as_a_whole CHECK (
        (actual_value IS NULL) = (filled_at IS NULL)
        AND (actual_value IS NULL) = (accuracy_fraction IS NULL)),
    CONSTRAINT prediction_filled_by
        FOREIGN KEY (execution_sequence, execution_at, execution_epoch)
        REFERENCES riskgate.execution_log (sequence, reported_at, epoch) ON DELETE SET NULL
) PARTITION BY RANGE (created_at);
CREATE INDEX prediction_by_execution
    ON riskgate.prediction (execution_sequence, execution_at, execution_epoch)
    WHERE execution_sequence IS NOT NULL;
CREATE INDEX prediction_by_signal ON riskgate.prediction (signal_id) WHERE signal_id <> '';
CREATE INDEX prediction_by_connection ON riskgate.prediction (connection_id)
    WHERE connection_id <> '';
CREATE INDEX prediction_by_type_and_time
    ON riskgate.prediction (prediction_type, created_at);

-- Once filled, what was predicted and what came of it never change.
CREATE FUNCTION riskgate.refuse_second_fill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.actual_value IS NOT NULL AND (OLD.actual_value, OLD.accuracy_fraction, OLD.filled_at)
            IS DISTINCT FROM (NEW.actual_value, NEW.accuracy_fraction, NEW.filled_at) THEN
        RAISE EXCEPTION 'prediction is filled already' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TABLE riskgate.reservation (
    epoch bigint NOT NULL,
    sequence bigint NOT NULL,
    made_at timestamptz NOT NULL,
    shard integer NOT NULL,
    account_id text NOT NULL,
    client_order_id text NOT NULL,
    symbol text NOT NULL,
    is_exit boolean NOT NULL,
    lots numeric NOT NULL,
    held_lots numeric NOT NULL,
    state text NOT NULL CHECK (state IN ('held', 'working', 'committed', 'released', 'replaced')),
    -- Ends by itself then, unless the order works; the view below says so.
    expires_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    -- Report kind, 'replaced' or 'sync'; empty: nothing happened to it yet.
    changed_by text NOT NULL DEFAULT '',
    PRIMARY KEY (sequence, made_at, epoch)
) PARTITION BY RANGE (made_at);
CREATE INDEX reservation_open ON riskgate.reservation (account_id)
    WHERE state IN ('held', 'working');

-- TimescaleDB cuts by itself and wants plain tables: the same tables once more, then made hypertables. They lose the
-- foreign key, which hypertables do not take. Where it is available but not preloaded, creating it would end the
-- connection; who may not see what is preloaded leaves it to the administrator.
DO $$
DECLARE
    named record;
    has_timescale boolean := EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb');
BEGIN
    IF NOT has_timescale AND EXISTS
            (SELECT FROM pg_available_extensions WHERE name = 'timescaledb') THEN
        BEGIN
            IF current_setting('shared_preload_libraries') ~ '\mtimescaledb\M' THEN
                CREATE EXTENSION timescaledb;
                has_timescale := true;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            NULL;
        END;
    END IF;
    IF NOT has_timescale THEN
        RETURN;
    END IF;
    FOR named IN
        SELECT * FROM (VALUES ('decision', 'decided_at'), ('decision_binding', 'decided_at'),
            ('prediction', 'created_at'), ('execution_log', 'reported_at'),
            ('reservation', 'made_at')) AS archive (name, cut_by)
    LOOP
        EXECUTE format('CREATE TABLE riskgate.plain (LIKE riskgate.%I INCLUDING ALL)', named.name);
        EXECUTE format('DROP TABLE riskgate.%I CASCADE', named.name);
        EXECUTE format('ALTER TABLE riskgate.plain RENAME TO %I', named.name);
        PERFORM create_hypertable(format('riskgate.%I', named.name)::regclass, named.cut_by::name,
            chunk_time_interval => INTERVAL '1 day');
    END LOOP;
END $$;

CREATE TRIGGER prediction_filled_once BEFORE UPDATE ON riskgate.prediction
    FOR EACH ROW EXECUTE FUNCTION riskgate.refuse_second_fill();

-- Makes one UTC day of every archive table that is natively partitioned. Attached and not created in place, which would
-- lock out everybody who reads.
CREATE FUNCTION riskgate.make_archive_day(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent name;
    part text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('riskgate.make_archive_day'));
    -- In the order of creation: a foreign key finds what it refers to.
    FOR parent IN SELECT relname FROM pg_class
        WHERE relnamespace = 'riskgate'::regnamespace AND relkind = 'p' ORDER BY oid
    LOOP
        part := parent || to_char(day, '_YYYYMMDD');
        CONTINUE WHEN to_regclass(format('riskgate.%I', part)) IS NOT NULL;
        EXECUTE format('CREATE TABLE riskgate.%I (LIKE riskgate.%I INCLUDING ALL)', part, parent);
        EXECUTE format('ALTER TABLE riskgate.%I ATTACH PARTITION riskgate.%I FOR VALUES FROM (%L) TO (%L)',
            parent, part, day || ' 00:00:00+00', (day + 1) || ' 00:00:00+00');
    END LOOP;
END $$;

CREATE VIEW riskgate.decision_check AS
SELECT decision.epoch, decision.sequence, decision.decided_at, reason.index, reason.code,
    reason.name AS reason, reason.unit,
    (ARRAY['pass', 'cut', 'deny', 'note', 'not_applicable'])[judged.status] AS status,
    reason.code IS NOT DISTINCT FROM decision.binding_reason AS binds
FROM riskgate.decision
CROSS JOIN riskgate.reason
CROSS JOIN LATERAL (SELECT CASE WHEN reason.index < octet_length(decision.checks)
    THEN get_byte(decision.checks, reason.index) ELSE 0 END AS status) AS judged
WHERE judged.status > 0;

CREATE VIEW riskgate.reservation_now AS
SELECT reservation.*,
    CASE WHEN state = 'held' AND expires_at <= now() THEN 'expired' ELSE state END AS state_now
FROM riskgate.reservation;

-- The daily tier of a provider's live figures, in sums that add up to any longer period.
CREATE TABLE riskgate.provider_day (
    provider_id text NOT NULL,
    provider_type text NOT NULL,
    day date NOT NULL,
    closes bigint NOT NULL DEFAULT 0,
    wins bigint NOT NULL DEFAULT 0,
    losses bigint NOT NULL DEFAULT 0,
    profit numeric NOT NULL DEFAULT 0,
    -- Highest and lowest running profit since the day began, and the deepest fall between; all start at 0.
    profit_peak numeric NOT NULL DEFAULT 0,
    profit_trough numeric NOT NULL DEFAULT 0,
    drawdown numeric NOT NULL DEFAULT 0,
    worst_loss numeric NOT NULL DEFAULT 0,
    fills bigint NOT NULL DEFAULT 0,
    adverse_pips numeric NOT NULL DEFAULT 0,
    adverse_pips_max numeric NOT NULL DEFAULT 0,
    improvement_pips numeric NOT NULL DEFAULT 0,
    timed_fills bigint NOT NULL DEFAULT 0,
    latency_ms numeric NOT NULL DEFAULT 0,
    PRIMARY KEY (provider_id, provider_type, day)
);

-- Works out one metric row from the days of its period. Doing it again changes nothing.
CREATE FUNCTION riskgate.refresh_provider_metric(
    provider_id text, provider_type text, period_type text, first_day date, last_day date
) RETURNS void LANGUAGE sql AS $$
WITH running AS (
    SELECT *, sum(d.profit) OVER (ORDER BY d.day) - d.profit AS before
    FROM riskgate.provider_day AS d
    WHERE d.provider_id = $1 AND d.provider_type = $2 AND d.day BETWEEN $4 AND $5
), fallen AS (
    SELECT *, coalesce(max(before + profit_peak) OVER (ORDER BY day
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS peak_before
    FROM running
), total AS (
    SELECT sum(closes) AS closes, sum(wins) AS wins, sum(losses) AS losses, sum(fills) AS fills,
        max(greatest(drawdown, peak_before - (before + profit_trough))) AS drawdown,
        max(worst_loss) AS worst_loss, max(adverse_pips_max) AS adverse_max,
        sum(adverse_pips) AS adverse, sum(improvement_pips) AS improvement,
        sum(timed_fills) AS timed_fills, sum(latency_ms) AS latency_ms
    FROM fallen
)
INSERT INTO riskgate.provider_metric AS metric (provider_id, provider_type, period_type, period_start,
    period_end, total_signals, winning_signals, losing_signals, win_rate_fraction,
    max_drawdown_money, worst_trade_money, avg_slippage_pips, max_slippage_pips,
    avg_improvement_pips, avg_latency_ms, performance_score)
SELECT $1, $2, $3, $4, $5, closes, wins, losses, wins / nullif(closes, 0),
    CASE WHEN closes > 0 THEN least(drawdown, 1e12) END,
    CASE WHEN closes > 0 THEN least(worst_loss, 1e12) END,
    CASE WHEN fills > 0 THEN least(adverse / fills, 1e6) END,
    CASE WHEN fills > 0 THEN least(adverse_max, 1e6) END,
    CASE WHEN fills > 0 THEN greatest(improvement / fills, -1e6) END,
    CASE WHEN timed_fills > 0 THEN least(latency_ms / timed_fills, 86400000) END,
    coalesce((SELECT p.performance_score FROM riskgate.provider AS p
        WHERE p.provider_id = $1 AND p.provider_type = $2), 50)
FROM total WHERE closes IS NOT NULL
ON CONFLICT ON CONSTRAINT provider_metric_one_per_period DO UPDATE SET
    total_signals = EXCLUDED.total_signals, winning_signals = EXCLUDED.winning_signals,
    losing_signals = EXCLUDED.losing_signals, win_rate_fraction = EXCLUDED.win_rate_fraction,
    max_drawdown_money = EXCLUDED.max_drawdown_money, worst_trade_money = EXCLUDED.worst_trade_money,
    avg_slippage_pips = EXCLUDED.avg_slippage_pips, max_slippage_pips = EXCLUDED.max_slippage_pips,
    avg_improvement_pips = EXCLUDED.avg_improvement_pips, avg_latency_ms = EXCLUDED.avg_latency_ms,
    calculated_at = now(), updated_at = now()
WHERE (metric.total_signals, metric.winning_signals, metric.losing_signals, metric.max_drawdown_money,
        metric.worst_trade_money, metric.avg_slippage_pips, metric.max_slippage_pips,
        metric.avg_improvement_pips, metric.avg_latency_ms)
    IS DISTINCT FROM (EXCLUDED.total_signals, EXCLUDED.winning_signals, EXCLUDED.losing_signals,
        EXCLUDED.max_drawdown_money, EXCLUDED.worst_trade_money, EXCLUDED.avg_slippage_pips,
        EXCLUDED.max_slippage_pips, EXCLUDED.avg_improvement_pips, EXCLUDED.avg_latency_ms)
$$;
