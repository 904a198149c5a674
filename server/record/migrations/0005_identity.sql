-- Who may call, beyond what a certificate says, and the secrets of their one-time codes.

CREATE TABLE riskgate.identity (
    -- spiffe://DOMAIN/ROLE[/GROUP]/NAME
    uri riskgate.identifier PRIMARY KEY,
    accounts text[] NOT NULL DEFAULT '{}'
        CHECK (cardinality(accounts) <= 256 AND array_position(accounts, NULL) IS NULL),
    every_account boolean NOT NULL DEFAULT false,
    -- Empty: every provider.
    providers text[] NOT NULL DEFAULT '{}'
        CHECK (cardinality(providers) <= 256 AND array_position(providers, NULL) IS NULL),
    -- NULL: the server's default.
    calls_per_second integer CHECK (calls_per_second BETWEEN 1 AND 1000000),
    burst integer CHECK (burst BETWEEN 1 AND 1000000),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'frozen', 'revoked')),
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT identity_names_accounts_or_has_all CHECK (NOT (every_account AND accounts <> '{}'))
);
-- An identity that was revoked stays known: no row, no revocation.
CREATE TRIGGER identity_stays BEFORE DELETE ON riskgate.identity
    FOR EACH ROW EXECUTE FUNCTION riskgate.refuse_change();
CREATE TRIGGER identities_stay BEFORE TRUNCATE ON riskgate.identity
    FOR EACH STATEMENT EXECUTE FUNCTION riskgate.refuse_change();

-- One row per secret for one-time codes. An identity may have one without an entry.
CREATE TABLE riskgate.second_factor (
    uri riskgate.identifier PRIMARY KEY,
    -- Encrypted for this row (server/security/field_encryption.py); bytes 2 to 9 name the key.
    secret bytea NOT NULL CHECK (octet_length(secret) BETWEEN 37 AND 1024),
    -- Time step of the newest code that was accepted: that code and all older ones are used up, on every replica.
    last_step bigint NOT NULL CHECK (last_step >= 0),
    -- Wrong codes since the last right one; 5 lock it.
    wrong_codes smallint NOT NULL DEFAULT 0 CHECK (wrong_codes BETWEEN 0 AND 5),
    enrolled_at timestamptz NOT NULL DEFAULT now()
);
