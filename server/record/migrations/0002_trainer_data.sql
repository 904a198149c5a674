-- What the trainer learns from: closed trades, stop fills, price bars, and the provider metrics worked out of them.
-- Rows keep the source's own numbering as their key, so importing a file twice adds nothing.
-- NUMERIC's NaN sorts above every number, so each upper bound also refuses it.

CREATE TABLE riskgate.trade (
    provider_id riskgate.identifier NOT NULL,
    provider_type text NOT NULL CHECK (provider_type IN ('channel_source', 'user')),
    trade_no bigint NOT NULL CHECK (trade_no >= 0),
    account_id text NOT NULL DEFAULT '' CHECK (octet_length(account_id) <= 64),
    symbol riskgate.symbol_name NOT NULL,
    side text NOT NULL CHECK (side IN ('buy', 'sell')),
    lots numeric NOT NULL CHECK (lots > 0 AND lots <= 1e9),
    open_ts timestamptz NOT NULL,
    open_price numeric NOT NULL CHECK (open_price > 0 AND open_price <= 1e15),
    close_ts timestamptz NOT NULL,
    close_price numeric NOT NULL CHECK (close_price > 0 AND close_price <= 1e15),
    stop_loss numeric CHECK (stop_loss > 0 AND stop_loss <= 1e15),
    take_profit numeric CHECK (take_profit > 0 AND take_profit <= 1e15),
    exit_reason text NOT NULL CHECK (exit_reason IN ('sl', 'tp', 'stop_out', 'other')),
    commission numeric NOT NULL CHECK (commission BETWEEN -1e12 AND 1e12),
    swap numeric NOT NULL CHECK (swap BETWEEN -1e12 AND 1e12),
    profit numeric NOT NULL CHECK (profit BETWEEN -1e12 AND 1e12),
    pip_size numeric NOT NULL CHECK (pip_size > 0 AND pip_size <= 1e6),
    imported_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider_id, provider_type, trade_no),
    CONSTRAINT trade_closes_after_it_opens CHECK (close_ts >= open_ts)
);
CREATE INDEX trade_by_close ON riskgate.trade (close_ts);

CREATE TABLE riskgate.stop_fill (
    provider_id riskgate.identifier NOT NULL,
    provider_type text NOT NULL CHECK (provider_type IN ('channel_source', 'user')),
    trade_no bigint NOT NULL CHECK (trade_no >= 0),
    symbol riskgate.symbol_name NOT NULL,
    side text NOT NULL CHECK (side IN ('buy', 'sell')),
    lots numeric NOT NULL CHECK (lots > 0 AND lots <= 1e9),
    ts timestamptz NOT NULL,
    exit_reason text NOT NULL CHECK (exit_reason IN ('sl', 'tp')),
    ref_price numeric NOT NULL CHECK (ref_price > 0 AND ref_price <= 1e15),
    fill_price numeric NOT NULL CHECK (fill_price > 0 AND fill_price <= 1e15),
    pip_size numeric NOT NULL CHECK (pip_size > 0 AND pip_size <= 1e6),
    -- Positive is worse for the trader, negative is price improvement.
    slippage_pips numeric NOT NULL CHECK (slippage_pips BETWEEN -1e6 AND 1e6),
    latency_ms numeric CHECK (latency_ms BETWEEN 0 AND 86400000),
    imported_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider_id, provider_type, trade_no)
);
CREATE INDEX stop_fill_by_time ON riskgate.stop_fill (ts);

CREATE TABLE riskgate.bar (
    symbol riskgate.symbol_name NOT NULL,
    source text NOT NULL CHECK (octet_length(source) BETWEEN 1 AND 64),
    bar_interval text NOT NULL CHECK (bar_interval ~ '^[1-9][0-9]{0,3}[smhdw]$'),
    ts timestamptz NOT NULL,
    -- Which price the bar is made of.
    basis text NOT NULL CHECK (basis IN ('bid', 'trade')),
    open numeric NOT NULL CHECK (open > 0 AND open <= 1e15),
    high numeric NOT NULL CHECK (high > 0 AND high <= 1e15),
    low numeric NOT NULL CHECK (low > 0 AND low <= 1e15),
    close numeric NOT NULL CHECK (close > 0 AND close <= 1e15),
    -- Ticks for bid bars, the source's own unit for trade bars. Null: not known.
    volume numeric CHECK (volume >= 0 AND volume <= 1e18),
    PRIMARY KEY (symbol, source, bar_interval, ts)
);

CREATE TABLE riskgate.provider_metric (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider_id riskgate.identifier NOT NULL,
    provider_type text NOT NULL CHECK (provider_type IN ('channel_source', 'user')),
    period_type text NOT NULL CHECK (period_type IN ('daily', 'weekly', 'monthly')),
    -- First and last day, both inside the period.
    period_start date NOT NULL,
    period_end date NOT NULL,
    total_signals bigint NOT NULL DEFAULT 0 CHECK (total_signals BETWEEN 0 AND 4294967295),
    winning_signals bigint NOT NULL DEFAULT 0 CHECK (winning_signals BETWEEN 0 AND 4294967295),
    losing_signals bigint NOT NULL DEFAULT 0 CHECK (losing_signals BETWEEN 0 AND 4294967295),
    breakeven_signals bigint NOT NULL
        GENERATED ALWAYS AS (total_signals - winning_signals - losing_signals) STORED,
    -- Shares in 0..1; null where nothing was there to share out.
    win_rate_fraction numeric CHECK (win_rate_fraction BETWEEN 0 AND 1),
    max_drawdown_fraction numeric CHECK (max_drawdown_fraction BETWEEN 0 AND 1),
    max_drawdown_money numeric CHECK (max_drawdown_money BETWEEN 0 AND 1e12),
    worst_trade_money numeric CHECK (worst_trade_money BETWEEN 0 AND 1e12),
    reward_to_risk_ratio numeric CHECK (reward_to_risk_ratio BETWEEN 0 AND 1e6),
    sl_compliance_fraction numeric CHECK (sl_compliance_fraction BETWEEN 0 AND 1),
    -- Closed trades without a usable stop, left out of the two figures above.
    without_stop bigint NOT NULL DEFAULT 0 CHECK (without_stop BETWEEN 0 AND total_signals),
    sharpe_per_trade numeric CHECK (sharpe_per_trade BETWEEN -1e9 AND 1e9),
    sharpe_annualised numeric CHECK (sharpe_annualised BETWEEN -1e9 AND 1e9),
    -- Adverse part only; improvement is kept signed beside it.
    avg_slippage_pips numeric CHECK (avg_slippage_pips BETWEEN 0 AND 1e6),
    max_slippage_pips numeric CHECK (max_slippage_pips BETWEEN 0 AND 1e6),
    avg_improvement_pips numeric CHECK (avg_improvement_pips BETWEEN -1e6 AND 0),
    avg_latency_ms numeric CHECK (avg_latency_ms BETWEEN 0 AND 86400000),
    latency_p50_ms numeric CHECK (latency_p50_ms BETWEEN 0 AND 86400000),
    latency_p95_ms numeric CHECK (latency_p95_ms BETWEEN 0 AND 86400000),
    latency_p99_ms numeric CHECK (latency_p99_ms BETWEEN 0 AND 86400000),
    performance_score riskgate.points NOT NULL DEFAULT 50,
    performance_score_previous riskgate.points,
    score_trend text NOT NULL DEFAULT 'stable' CHECK (score_trend IN ('up', 'stable', 'down')),
    calculated_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT provider_metric_one_per_period
        UNIQUE (provider_id, provider_type, period_type, period_start, period_end),
    CONSTRAINT provider_metric_counts_add_up
        CHECK (winning_signals + losing_signals <= total_signals),
    CONSTRAINT provider_metric_slippage_in_order CHECK (avg_slippage_pips <= max_slippage_pips),
    CONSTRAINT provider_metric_latency_in_order
        CHECK (latency_p50_ms <= latency_p95_ms AND latency_p95_ms <= latency_p99_ms),
    CONSTRAINT provider_metric_win_rate_needs_signals
        CHECK ((total_signals = 0) = (win_rate_fraction IS NULL)),
    CONSTRAINT provider_metric_period_is_whole CHECK (
        CASE period_type
            WHEN 'daily' THEN period_end = period_start
            -- ISO week: Monday to Sunday, also over a year's end.
            WHEN 'weekly' THEN
                EXTRACT(isodow FROM period_start) = 1 AND period_end = period_start + 6
            ELSE EXTRACT(day FROM period_start) = 1
                AND period_end = (period_start + INTERVAL '1 month')::date - 1
        END),
    CONSTRAINT provider_metric_period_in_order CHECK (period_end >= period_start)
);
CREATE INDEX provider_metric_by_provider ON riskgate.provider_metric (provider_id, provider_type);
CREATE INDEX provider_metric_by_period
    ON riskgate.provider_metric (period_type, period_start, period_end);
CREATE INDEX provider_metric_by_score ON riskgate.provider_metric (performance_score);
