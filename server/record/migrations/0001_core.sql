-- What people decide: reference data, limits, breakers, providers, models, and how each change leaves the record.
-- The database refuses bad rows by itself; ratios are fractions, money and prices are NUMERIC, times are TIMESTAMPTZ.
-- NUMERIC's NaN sorts above every number, so each upper bound also refuses it.

CREATE DOMAIN riskgate.identifier AS text CHECK (octet_length(VALUE) BETWEEN 1 AND 64);
CREATE DOMAIN riskgate.symbol_name AS text CHECK (octet_length(VALUE) BETWEEN 1 AND 32);
CREATE DOMAIN riskgate.short_label AS text CHECK (octet_length(VALUE) <= 32);
CREATE DOMAIN riskgate.note AS text CHECK (octet_length(VALUE) <= 256);
CREATE DOMAIN riskgate.currency_code AS text CHECK (VALUE ~ '^[A-Z0-9]{3,8}$');
-- Ratios on the ppm grid: a share of something, and a factor that may exceed one.
CREATE DOMAIN riskgate.share AS numeric CHECK (VALUE BETWEEN 0 AND 1 AND VALUE = round(VALUE, 6));
CREATE DOMAIN riskgate.factor AS numeric CHECK (VALUE BETWEEN 0 AND 10000 AND VALUE = round(VALUE, 6));
-- Score or index, 0 to 100.
CREATE DOMAIN riskgate.points AS numeric CHECK (VALUE BETWEEN 0 AND 100 AND VALUE = round(VALUE, 6));
CREATE DOMAIN riskgate.sha256 AS bytea CHECK (octet_length(VALUE) = 32);

CREATE FUNCTION riskgate.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE TABLE riskgate.instrument (
    symbol riskgate.symbol_name PRIMARY KEY,
    exchange riskgate.short_label NOT NULL DEFAULT '',
    base_currency riskgate.currency_code NOT NULL,
    quote_currency riskgate.currency_code NOT NULL,
    tick_size numeric NOT NULL CHECK (tick_size BETWEEN 1e-12 AND 1e6),
    pip_size numeric NOT NULL CHECK (pip_size BETWEEN tick_size AND tick_size * 1e6),
    tick_value numeric NOT NULL CHECK (tick_value > 0 AND tick_value <= 1e6),
    lot_step numeric NOT NULL CHECK (lot_step BETWEEN 1e-8 AND 1e6),
    min_lot numeric NOT NULL,
    max_lot numeric NOT NULL,
    contract_size numeric NOT NULL CHECK (contract_size > 0 AND contract_size <= 1e9),
    default_slippage_pips numeric NOT NULL DEFAULT 0 CHECK (default_slippage_pips BETWEEN 0 AND 1e6),
    commission_per_lot numeric NOT NULL DEFAULT 0 CHECK (commission_per_lot BETWEEN 0 AND 1e6),
    correlation_group riskgate.short_label NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT instrument_pip_is_whole_ticks CHECK (mod(pip_size, tick_size) = 0),
    CONSTRAINT instrument_min_lot_is_whole_steps
        CHECK (min_lot BETWEEN lot_step AND lot_step * 1e9 AND mod(min_lot, lot_step) = 0),
    CONSTRAINT instrument_max_lot_is_whole_steps
        CHECK (max_lot BETWEEN min_lot AND lot_step * 1e9 AND mod(max_lot, lot_step) = 0)
);

CREATE TABLE riskgate.account (
    account_id riskgate.identifier PRIMARY KEY,
    currency riskgate.currency_code NOT NULL,
    equity numeric NOT NULL CHECK (equity > 0 AND equity <= 1e12 AND equity = round(equity, 6)),
    equity_as_of timestamptz NOT NULL,
    reservation_ttl_ms bigint NOT NULL DEFAULT 30000
        CHECK (reservation_ttl_ms BETWEEN 1 AND 300000),
    allow_new_providers boolean NOT NULL DEFAULT false,
    timezone riskgate.symbol_name NOT NULL DEFAULT 'UTC',
    trading_state text NOT NULL DEFAULT 'active'
        CHECK (trading_state IN ('active', 'reducing', 'halted')),
    equity_max_age_ms bigint CHECK (equity_max_age_ms BETWEEN 1 AND 31536000000),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE riskgate.conversion_rate (
    from_currency riskgate.currency_code NOT NULL,
    to_currency riskgate.currency_code NOT NULL,
    rate numeric NOT NULL CHECK (rate BETWEEN 1e-9 AND 1e6),
    as_of timestamptz NOT NULL,
    PRIMARY KEY (from_currency, to_currency),
    CONSTRAINT conversion_rate_between_two_currencies CHECK (from_currency <> to_currency)
);

CREATE TABLE riskgate.risk_configuration (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id riskgate.identifier NOT NULL
        REFERENCES riskgate.account ON UPDATE CASCADE ON DELETE RESTRICT,
    config_id riskgate.identifier NOT NULL,
    position_max_drawdown_fraction riskgate.share NOT NULL,
    position_trailing_stop_multiplier numeric NOT NULL
        CHECK (position_trailing_stop_multiplier BETWEEN 0 AND 100),
    daily_max_drawdown_fraction riskgate.share NOT NULL,
    weekly_max_drawdown_fraction riskgate.share NOT NULL,
    monthly_max_drawdown_fraction riskgate.share NOT NULL,
    max_position_size_fraction riskgate.factor NOT NULL,
    max_correlated_exposure_fraction riskgate.factor NOT NULL,
    risk_per_trade_fraction riskgate.share NOT NULL,
    volatility_adjustment_factor numeric NOT NULL
        CHECK (volatility_adjustment_factor BETWEEN 0 AND 100),
    market_regime_thresholds jsonb NOT NULL DEFAULT '{}'
        CHECK (jsonb_typeof(market_regime_thresholds) = 'object'),
    cooling_off_period_minutes integer NOT NULL
        CHECK (cooling_off_period_minutes BETWEEN 0 AND 525600),
    consecutive_loss_threshold integer NOT NULL
        CHECK (consecutive_loss_threshold BETWEEN 0 AND 1000),
    max_leverage riskgate.factor CHECK (max_leverage > 0),
    min_provider_score riskgate.points,
    is_active boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT risk_configuration_id_per_account UNIQUE (account_id, config_id)
);
CREATE UNIQUE INDEX risk_configuration_one_active_per_account
    ON riskgate.risk_configuration (account_id) WHERE is_active;

CREATE TABLE riskgate.symbol_risk_configuration (
    risk_configuration_id bigint NOT NULL
        REFERENCES riskgate.risk_configuration ON DELETE CASCADE,
    symbol riskgate.symbol_name NOT NULL,
    max_position_size_fraction riskgate.factor NOT NULL,
    max_leverage riskgate.factor NOT NULL CHECK (max_leverage > 0),
    position_max_drawdown_fraction riskgate.share NOT NULL,
    risk_per_trade_fraction riskgate.share NOT NULL,
    override boolean NOT NULL DEFAULT false,
    PRIMARY KEY (risk_configuration_id, symbol)
);

CREATE TABLE riskgate.circuit_breaker (
    breaker_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id riskgate.identifier NOT NULL
        REFERENCES riskgate.account ON UPDATE CASCADE ON DELETE RESTRICT,
    name riskgate.identifier NOT NULL,
    description text NOT NULL DEFAULT '' CHECK (octet_length(description) <= 1024),
    condition text NOT NULL CHECK (condition IN ('max_drawdown', 'daily_loss', 'weekly_loss',
        'monthly_loss', 'consecutive_losses', 'volatility')),
    action text NOT NULL CHECK (action IN ('block', 'reduce_only', 'reduce_size',
        'close_position', 'alert')),
    threshold numeric NOT NULL,
    multiplier riskgate.share,
    cooling_off_minutes integer CHECK (cooling_off_minutes BETWEEN 1 AND 525600),
    symbols text[] CHECK (cardinality(symbols) BETWEEN 1 AND 32),
    exchanges text[] CHECK (cardinality(exchanges) BETWEEN 1 AND 8),
    enabled boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT circuit_breaker_name_per_account UNIQUE (account_id, name),
    CONSTRAINT circuit_breaker_threshold_in_range CHECK (
        threshold = round(threshold, 6) AND CASE condition
            WHEN 'consecutive_losses' THEN threshold BETWEEN 1 AND 1000 AND threshold = trunc(threshold)
            WHEN 'volatility' THEN threshold BETWEEN 0 AND 100
            ELSE threshold BETWEEN 0 AND 1 END),
    CONSTRAINT circuit_breaker_losses_need_cooling_off
        CHECK (condition <> 'consecutive_losses' OR cooling_off_minutes IS NOT NULL)
);

CREATE TABLE riskgate.circuit_breaker_event (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    breaker_id bigint NOT NULL REFERENCES riskgate.circuit_breaker ON DELETE CASCADE,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    triggered_values jsonb NOT NULL CHECK (jsonb_typeof(triggered_values) = 'object'),
    action_taken text NOT NULL CHECK (action_taken IN ('block', 'reduce_only', 'reduce_size',
        'close_position', 'alert')),
    action_result jsonb CHECK (jsonb_typeof(action_result) = 'object'),
    positions_affected jsonb CHECK (jsonb_typeof(positions_affected) = 'array')
);
CREATE INDEX circuit_breaker_event_of_breaker
    ON riskgate.circuit_breaker_event (breaker_id, event_id DESC);

CREATE TABLE riskgate.provider (
    provider_id riskgate.identifier NOT NULL,
    provider_type text NOT NULL CHECK (provider_type IN ('channel_source', 'user')),
    performance_score riskgate.points NOT NULL DEFAULT 50,
    score_as_of timestamptz NOT NULL,
    win_rate_fraction riskgate.share,
    max_drawdown_fraction riskgate.share,
    reward_to_risk_ratio numeric CHECK (reward_to_risk_ratio BETWEEN 0 AND 1e6),
    sl_compliance_fraction riskgate.share,
    score_trend text NOT NULL DEFAULT 'stable' CHECK (score_trend IN ('up', 'stable', 'down')),
    total_signals bigint CHECK (total_signals BETWEEN 0 AND 4294967295),
    winning_signals bigint CHECK (winning_signals BETWEEN 0 AND 4294967295),
    losing_signals bigint CHECK (losing_signals BETWEEN 0 AND 4294967295),
    avg_slippage_pips numeric CHECK (avg_slippage_pips BETWEEN 0 AND 1e6),
    max_slippage_pips numeric CHECK (max_slippage_pips BETWEEN 0 AND 1e6),
    avg_latency_ms bigint CHECK (avg_latency_ms BETWEEN 0 AND 86400000),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider_id, provider_type),
    CONSTRAINT provider_counts_add_up CHECK (winning_signals + losing_signals <= total_signals),
    CONSTRAINT provider_slippage_in_order CHECK (avg_slippage_pips <= max_slippage_pips)
);
CREATE INDEX provider_by_score ON riskgate.provider (performance_score);

-- Each part has its own time: a newer ATR must not make an old quote look young.
CREATE TABLE riskgate.market_context (
    symbol riskgate.symbol_name PRIMARY KEY REFERENCES riskgate.instrument ON DELETE CASCADE,
    atr numeric CHECK (atr > 0 AND atr <= 1e15),
    atr_as_of timestamptz,
    volatility_index riskgate.points,
    volatility_as_of timestamptz,
    regime riskgate.symbol_name,
    regime_as_of timestamptz,
    bid numeric CHECK (bid > 0 AND bid <= 1e15),
    ask numeric CHECK (ask > 0 AND ask <= 1e15),
    quote_as_of timestamptz,
    CONSTRAINT market_context_parts_have_times CHECK (
        (atr IS NULL) = (atr_as_of IS NULL)
        AND (volatility_index IS NULL) = (volatility_as_of IS NULL)
        AND (regime IS NULL) = (regime_as_of IS NULL)
        AND (bid IS NULL) = (quote_as_of IS NULL)),
    CONSTRAINT market_context_quote_is_whole CHECK ((bid IS NULL) = (ask IS NULL) AND bid <= ask)
);

CREATE TABLE riskgate.model_version (
    purpose riskgate.identifier NOT NULL,
    version text NOT NULL CHECK (version ~ '^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})$'),
    version_order integer[] GENERATED ALWAYS AS
        (string_to_array(version, '.')::integer[]) STORED,
    algorithm riskgate.identifier NOT NULL,
    digest riskgate.sha256 NOT NULL UNIQUE,
    author riskgate.identifier NOT NULL,
    manifest jsonb NOT NULL CHECK (jsonb_typeof(manifest) = 'object'),
    status text NOT NULL DEFAULT 'testing' CHECK (status IN ('registered', 'testing', 'approved',
        'active', 'deprecated', 'rejected')),
    serial bigint NOT NULL DEFAULT 0 CHECK (serial >= 0),
    pushed_at timestamptz NOT NULL DEFAULT now(),
    approved_at timestamptz,
    activated_at timestamptz,
    deprecated_at timestamptz,
    PRIMARY KEY (purpose, version),
    CONSTRAINT model_version_active_has_serial CHECK (status <> 'active' OR serial > 0)
);
CREATE UNIQUE INDEX model_version_one_active_per_purpose
    ON riskgate.model_version (purpose) WHERE status = 'active';

-- What was signed never changes; the lifecycle columns do.
CREATE FUNCTION riskgate.refuse_sealed_model_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR (OLD.purpose, OLD.version, OLD.algorithm, OLD.digest, OLD.author,
            OLD.manifest, OLD.pushed_at) IS DISTINCT FROM (NEW.purpose, NEW.version, NEW.algorithm,
            NEW.digest, NEW.author, NEW.manifest, NEW.pushed_at) THEN
        RAISE EXCEPTION 'model version is sealed' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER model_version_sealed BEFORE UPDATE OR DELETE ON riskgate.model_version
    FOR EACH ROW EXECUTE FUNCTION riskgate.refuse_sealed_model_change();

CREATE TABLE riskgate.approval (
    purpose riskgate.identifier NOT NULL,
    version text NOT NULL,
    approver riskgate.identifier NOT NULL,
    digest riskgate.sha256 NOT NULL,
    approved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (purpose, version, approver),
    FOREIGN KEY (purpose, version) REFERENCES riskgate.model_version ON DELETE RESTRICT
);

CREATE TABLE riskgate.deployment_event (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    purpose riskgate.identifier NOT NULL,
    version text NOT NULL,
    event text NOT NULL CHECK (event IN ('push', 'approve', 'activate', 'rollback', 'deprecate',
        'withdraw')),
    serial bigint CHECK (serial > 0),
    actor text NOT NULL CHECK (octet_length(actor) <= 64),
    reason riskgate.note NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (purpose, version) REFERENCES riskgate.model_version ON DELETE RESTRICT,
    CONSTRAINT deployment_event_serial_when_active
        CHECK ((event IN ('activate', 'rollback')) = (serial IS NOT NULL)),
    CONSTRAINT deployment_event_rollback_has_reason CHECK (event <> 'rollback' OR reason <> ''),
    CONSTRAINT deployment_event_serial_once UNIQUE (purpose, serial)
);
CREATE TRIGGER deployment_event_append_only BEFORE UPDATE OR DELETE ON riskgate.deployment_event
    FOR EACH ROW EXECUTE FUNCTION riskgate.refuse_change();

CREATE TABLE riskgate.policy (
    version text PRIMARY KEY CHECK (version ~ '^\d{1,9}\.\d{1,9}\.\d{1,9}$'),
    digest riskgate.sha256 NOT NULL UNIQUE,
    body jsonb NOT NULL CHECK (jsonb_typeof(body) = 'object'),
    is_active boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX policy_one_active ON riskgate.policy (is_active) WHERE is_active;

CREATE TABLE riskgate.audit_log (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL CHECK (octet_length(actor) <= 64),
    action text NOT NULL CHECK (action <> ''),
    subject text NOT NULL CHECK (subject <> ''),
    subject_key text NOT NULL,
    reason riskgate.note NOT NULL,
    old_value jsonb,
    new_value jsonb,
    state_version bigint
);
CREATE INDEX audit_log_of_subject ON riskgate.audit_log (subject, subject_key, audit_id);
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON riskgate.audit_log
    FOR EACH ROW EXECUTE FUNCTION riskgate.refuse_change();

-- One row, locked by every admin change until it commits: versions become visible in order, without gaps.
CREATE TABLE riskgate.state_version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version bigint NOT NULL CHECK (version >= 0)
);
INSERT INTO riskgate.state_version (version) VALUES (0);

CREATE TABLE riskgate.state_change (
    version bigint PRIMARY KEY CHECK (version > 0),
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 255),
    key text NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 160),
    -- The serialised StateChange message, as every reader gets it.
    change bytea NOT NULL CHECK (octet_length(change) <= 65536 + 1024),
    layout_version integer NOT NULL CHECK (layout_version > 0),
    made_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX state_change_latest_of_entity
    ON riskgate.state_change (kind, key, version DESC);
