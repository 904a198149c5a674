-- Limits on single orders and on their flow, trading hours, breakers with conditions of one's own, strategies that a person
-- lets go on. NULL is no limit; a limit of 0 is refused, because one reads it as "nothing" and another as "no limit".

-- Money or lots.
CREATE DOMAIN riskgate.amount AS numeric
    CHECK (VALUE > 0 AND VALUE <= 1e12 AND VALUE = round(VALUE, 6));

-- Whether minutes from Monday 00:00 are trading hours: each inside one day, in order, without overlap.
CREATE FUNCTION riskgate.are_trading_hours(opens integer[], closes integer[]) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
SELECT cardinality(opens) = cardinality(closes) AND cardinality(opens) <= 14
    AND coalesce(bool_and(coalesce(opens_at >= closed_before AND opens_at < closes_at
        AND opens_at / 1440 = (closes_at - 1) / 1440 AND closes_at <= 10080, false)), true)
FROM (
    SELECT opens_at, closes_at, lag(closes_at, 1, 0) OVER (ORDER BY place) AS closed_before
    FROM unnest(opens, closes) WITH ORDINALITY AS hour (opens_at, closes_at, place)
) AS hours
$$;

ALTER TABLE riskgate.instrument
    ADD COLUMN restricted boolean NOT NULL DEFAULT false,
    ADD COLUMN collar_fraction riskgate.share CHECK (collar_fraction > 0),
    ADD COLUMN collar_window_fraction riskgate.share CHECK (collar_window_fraction > 0),
    ADD COLUMN collar_window_ms bigint CHECK (collar_window_ms BETWEEN 1 AND 86400000),
    ADD COLUMN hours_timezone riskgate.short_label NOT NULL DEFAULT '',
    ADD COLUMN hours_open_minutes integer[] NOT NULL DEFAULT '{}',
    ADD COLUMN hours_close_minutes integer[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT instrument_collar_window_is_whole
        CHECK ((collar_window_fraction IS NULL) = (collar_window_ms IS NULL)),
    ADD CONSTRAINT instrument_hours_are_in_order
        CHECK (riskgate.are_trading_hours(hours_open_minutes, hours_close_minutes)),
    ADD CONSTRAINT instrument_hours_have_a_zone
        CHECK ((hours_timezone = '') = (cardinality(hours_open_minutes) = 0));

ALTER TABLE riskgate.risk_configuration
    ADD COLUMN max_order_value riskgate.amount,
    ADD COLUMN max_order_lots riskgate.amount,
    ADD COLUMN max_notional riskgate.amount,
    ADD COLUMN max_long_lots riskgate.amount,
    ADD COLUMN max_short_lots riskgate.amount,
    ADD COLUMN max_strategy_notional riskgate.amount,
    ADD COLUMN message_limit integer CHECK (message_limit BETWEEN 1 AND 1000000),
    ADD COLUMN message_window_ms bigint CHECK (message_window_ms BETWEEN 1 AND 86400000),
    ADD COLUMN repeat_limit integer CHECK (repeat_limit BETWEEN 1 AND 1000000),
    ADD COLUMN repeat_window_ms bigint CHECK (repeat_window_ms BETWEEN 1 AND 31536000000),
    ADD COLUMN duplicate_window_ms bigint CHECK (duplicate_window_ms BETWEEN 1 AND 86400000),
    -- The account's breakers when this was saved, as riskgate.v1.CircuitBreaker in JSON. NULL: it was not saved with any.
    ADD COLUMN saved_breakers jsonb CHECK (jsonb_typeof(saved_breakers) = 'array'),
    ADD COLUMN breakers_saved_at timestamptz,
    ADD CONSTRAINT risk_configuration_message_limit_has_window
        CHECK ((message_limit IS NULL) = (message_window_ms IS NULL)),
    ADD CONSTRAINT risk_configuration_repeat_window_has_limit
        CHECK (repeat_window_ms IS NULL OR repeat_limit IS NOT NULL),
    ADD CONSTRAINT risk_configuration_saved_as_a_whole
        CHECK ((saved_breakers IS NULL) = (breakers_saved_at IS NULL));

ALTER TABLE riskgate.symbol_risk_configuration
    ADD COLUMN max_order_value riskgate.amount,
    ADD COLUMN max_order_lots riskgate.amount,
    ADD COLUMN max_long_lots riskgate.amount,
    ADD COLUMN max_short_lots riskgate.amount,
    ADD COLUMN restricted boolean NOT NULL DEFAULT false;

ALTER TABLE riskgate.circuit_breaker
    DROP CONSTRAINT circuit_breaker_condition_check,
    DROP CONSTRAINT circuit_breaker_threshold_in_range,
    ALTER COLUMN threshold DROP NOT NULL,
    ADD COLUMN expression text NOT NULL DEFAULT '' CHECK (octet_length(expression) <= 1024),
    ADD COLUMN half_open_minutes integer CHECK (half_open_minutes BETWEEN 1 AND 525600),
    ADD COLUMN lock_after_trips integer CHECK (lock_after_trips BETWEEN 1 AND 1000),
    -- Objects of provider_id and provider_type.
    ADD COLUMN providers jsonb CHECK (providers IS NULL OR CASE jsonb_typeof(providers)
        WHEN 'array' THEN jsonb_array_length(providers) BETWEEN 1 AND 8 ELSE false END),
    ADD COLUMN strategies text[] CHECK (cardinality(strategies) BETWEEN 1 AND 8),
    ADD COLUMN reset_at timestamptz,
    ADD CONSTRAINT circuit_breaker_condition_is_known CHECK (condition IN ('max_drawdown',
        'daily_loss', 'weekly_loss', 'monthly_loss', 'consecutive_losses', 'volatility',
        'expression')),
    ADD CONSTRAINT circuit_breaker_expression_or_threshold CHECK (
        (condition = 'expression') = (expression <> '')
        AND (condition = 'expression') = (threshold IS NULL)),
    ADD CONSTRAINT circuit_breaker_threshold_in_range CHECK (
        threshold = round(threshold, 6) AND CASE condition
            WHEN 'consecutive_losses' THEN threshold BETWEEN 1 AND 1000 AND threshold = trunc(threshold)
            WHEN 'volatility' THEN threshold BETWEEN 0 AND 100
            ELSE threshold BETWEEN 0 AND 1 END);

-- When a person let a strategy go on last that its own repetition had stopped.
CREATE TABLE riskgate.strategy_enabling (
    account_id riskgate.identifier NOT NULL
        REFERENCES riskgate.account ON UPDATE CASCADE ON DELETE CASCADE,
    strategy_id riskgate.identifier NOT NULL,
    enabled_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, strategy_id)
);

-- There are more checks than there were.
ALTER TABLE riskgate.reason
    DROP CONSTRAINT IF EXISTS reason_index_check,
    ADD CONSTRAINT reason_index_check CHECK (index BETWEEN 0 AND 127);

-- What was decided last for an account, and where it stands in a symbol.
CREATE INDEX decision_by_account ON riskgate.decision (account_id, decided_at);
CREATE INDEX execution_log_by_symbol ON riskgate.execution_log (symbol, account_id, reported_at);
