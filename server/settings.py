"""Settings: read once, frozen, every problem reported together.

Order of precedence: command line, environment (`RISKGATE_*`), file (`riskgate.toml` or
`riskgate.yaml` in the working directory, or the one that `RISKGATE_SETTINGS_FILE` names), default.
Every setting has a safe default, so new code starts with an old configuration.
docs/settings.md holds the same table; a test keeps the two in step.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
    YamlConfigSettingsSource,
)

from server.addresses import (
    check_decision_address,
    check_listen_address,
    is_private,
    stays_here,
)
from server.errors import ConfigurationError
from server.lane_libraries import is_lane_possible
from server.loaders.bucket_address import check_store_url
from server.shards import SHARDS_MAX, Shard

SETTINGS_FILE_VARIABLE = "RISKGATE_SETTINGS_FILE"
# One that is written, one that lies ready, and what the recorder is at.
_SEGMENTS_MIN = 4
_TLS_FILES = ("tls_certificate", "tls_key", "tls_client_ca")
_TLS_DEFAULTS = {
    "tls_certificate": "server.crt",
    "tls_key": "server.key",
    "tls_client_ca": "ca.crt",
    "tls_crl": "ca.crl",
}
PKI_FOLDER = "pki"


def _check_shard(text: str) -> str:
    return str(Shard.parse(text))


ListenAddress = Annotated[str, AfterValidator(check_listen_address)]
DecisionAddress = Annotated[str, AfterValidator(check_decision_address)]
Rows = Annotated[int, Field(ge=16, le=1 << 26)]
Milliseconds = Annotated[int, Field(ge=1, le=31 * 86_400_000)]
Bytes = Annotated[int, Field(ge=1024, le=1 << 30)]


class Settings(BaseSettings):
    """All settings of all processes; docs/settings.md is the table of these fields."""

    model_config = SettingsConfigDict(
        env_prefix="RISKGATE_", env_ignore_empty=True, extra="forbid", frozen=True
    )

    data_dir: Path = Field(
        Path(".riskgate"), description="Directory of everything that one stack keeps."
    )
    decision_listen: DecisionAddress = Field(
        "127.0.0.1:50051",
        description="Address of the decision port; port 0 picks a free one, "
        "or unix:/absolute/path.",
    )
    insecure_loopback: bool = Field(
        default=False,
        description="Serve all ports without TLS, on loopback only; every caller may do all.",
    )
    trust_domain: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,23}$")] = Field(
        "riskgate", description="DOMAIN in the identities that certificates name: spiffe://DOMAIN/…"
    )
    tls_certificate: Path | None = Field(
        None,
        description="PEM file: certificate of all ports and its chain; absent: that of the "
        "development authority in the data directory.",
    )
    tls_key: Path | None = Field(
        None, description="PEM file, no passphrase: private key of that certificate."
    )
    tls_client_ca: Path | None = Field(
        None, description="PEM file: who may sign client certificates, which are required."
    )
    tls_crl: Path | None = Field(
        None, description="PEM file: that authority's revoked certificates, read when it changes."
    )
    control_listen: ListenAddress = Field(
        "127.0.0.1:50052", description="Address of the control port; port 0 picks a free one."
    )
    http_listen: ListenAddress | None = Field(
        None,
        description="Address where the control process also takes HTTP/JSON; port 0 picks a free "
        "one; absent: nowhere.",
    )
    http_names: Annotated[str, Field(pattern=r"^[a-z0-9.-]+(,[a-z0-9.-]+)*$")] | None = Field(
        None,
        description="Host names that its callers may use besides localhost, 127.0.0.1 and that of "
        "http_listen; with commas between.",
    )
    metrics_listen: ListenAddress = Field(
        "127.0.0.1:9464", description="Address of the Prometheus endpoint; port 0 picks a free one."
    )
    database_url: SecretStr | None = Field(
        None, description="PostgreSQL to use; absent: an embedded one under the data directory."
    )
    redis_url: SecretStr | None = Field(
        None, description="Redis: unix://, rediss://, or on loopback; absent: an embedded one."
    )
    artifact_store_url: Annotated[str, AfterValidator(check_store_url)] | None = Field(
        None,
        description="Bucket of artifacts, s3://BUCKET[/PREFIX][?endpoint=URL&region=REGION]; needs "
        "the extra s3; absent: the data directory.",
    )
    service_user: str = Field(
        "nobody",
        min_length=1,
        max_length=32,
        description="Account of the embedded services when the supervisor runs as root.",
    )
    lane: Literal["auto", "compiled", "grpcio"] = Field(
        "auto",
        description="What serves the decision port: a compiled loop or grpcio (grpc.aio); "
        "auto takes the first where it can run.",
    )
    shards: Annotated[int, Field(ge=1, le=SHARDS_MAX)] = Field(
        1, description="Engines of the stack; an account belongs to one of them (1 to 64)."
    )
    shard: Annotated[str, AfterValidator(_check_shard)] = Field(
        "0/1", description="Which of them this process is, as I/N; the supervisor sets it."
    )
    busy_poll_us: Annotated[int, Field(ge=0, le=10_000)] = Field(
        0,
        description="How long the compiled lane polls before it sleeps; costs a core under load.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severity that is logged."
    )

    # How old an input may become is no setting: those bounds are part of the arithmetic, and a
    # decision must come out the same wherever it is replayed (server/hotpath/layout.py).
    heartbeat_interval_ms: Annotated[int, Field(ge=50, le=1_000)] = Field(
        500, description="How often the publisher writes its heartbeat; DEGRADED begins at 2 s."
    )
    state_wait_ms_max: Annotated[int, Field(ge=0, le=50)] = Field(
        50, description="Longest wait for the min_state_version of a request."
    )
    idempotency_min_age_ms: Milliseconds = Field(
        600_000, description="An order id is remembered at least this long (10 minutes)."
    )

    capacity_instruments: Rows = Field(1_024, description="Rows of the instrument table.")
    capacity_accounts: Rows = Field(131_072, description="Rows of the account table.")
    capacity_providers: Rows = Field(1_048_576, description="Rows of the provider table.")
    capacity_symbol_limits: Rows = Field(
        131_072, description="Rows of the table of limits for one symbol of an account."
    )
    capacity_conversion_rates: Rows = Field(4_096, description="Rows of the conversion rate table.")
    capacity_breakers: Rows = Field(16_384, description="Rows of the circuit breaker table.")
    capacity_positions: Rows = Field(
        524_288, description="Rows of the position table, and of the exposure table beside it."
    )
    capacity_strategies: Rows = Field(65_536, description="Rows of the strategy table.")
    capacity_contents: Rows = Field(262_144, description="Orders remembered by content.")
    capacity_reservations: Rows = Field(4_194_304, description="Rows of the reservation table.")
    capacity_idempotency: Rows = Field(1_048_576, description="Rows of the idempotency table.")

    heads_copy_dir: Path | None = Field(
        None,
        description="Folder that gets the signed heads of the audit log too, best on another "
        "machine's disk.",
    )
    freeze_on_anomaly: bool = Field(
        default=False,
        description="Freeze an identity whose calls a rule on unusual behaviour has found.",
    )

    durability: Literal["memory", "process", "disk"] = Field(
        "process",
        description="What a decision survives once it is answered: nothing, the end of the "
        "process, or the loss of power.",
    )
    journal_segment_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 30, multiple_of=4_096)] = Field(
        67_108_864, description="Size of a journal file, whole pages of 4 KiB from 1 MiB on."
    )
    journal_budget_bytes: Annotated[int, Field(ge=1 << 22, le=1 << 50)] = Field(
        17_179_869_184,
        description="What all journal files may take, at least four of them; from 70 % on, "
        "recorded ones with a snapshot are deleted.",
    )
    snapshot_interval_entries: Annotated[int, Field(ge=1_000, le=1 << 40)] = Field(
        500_000, description="A snapshot is written after so many journal entries."
    )

    request_bytes_max: Bytes = Field(
        65_536, description="Largest message that the decision port accepts."
    )
    model_bytes_max: Bytes = Field(
        16_777_216, description="Largest model file that is read at all."
    )
    disk_free_bytes_min: Bytes = Field(
        268_435_456, description="Less free space than this is reported by the doctor."
    )
    connections_max: Annotated[int, Field(ge=1, le=65_536)] = Field(
        4_096, description="Connections of the decision port at one time; more are closed at once."
    )
    connection_idle_ms_max: Milliseconds = Field(
        600_000, description="A connection without a call is closed after this time (10 minutes)."
    )
    request_timeout_ms: Milliseconds = Field(
        10_000, description="Longest time for a TLS handshake, and for a request to arrive whole."
    )
    lane_stall_ms: Annotated[int, Field(ge=100, le=60_000)] = Field(
        1_000, description="A compiled lane without a heartbeat for this long is restarted."
    )
    shutdown_grace_ms: Milliseconds = Field(
        5_000, description="Time to finish running calls after SIGTERM."
    )
    start_timeout_ms: Milliseconds = Field(
        120_000, description="Longest time until both ports must serve (cold kernels compile)."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic names it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Name the sources; `.env` files and secret folders are not among them."""
        file = _find_settings_file()
        if file is None:
            return init_settings, env_settings
        if file.suffix == ".toml":
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls, file)

    def database_url_text(self) -> str:
        """Return the PostgreSQL URL with its password.

        Raises:
            ConfigurationError: No URL is set and no supervisor has provided one.
        """
        return _reveal("database_url", self.database_url)

    def redis_url_text(self) -> str:
        """Return the Redis URL with its password.

        Raises:
            ConfigurationError: No URL is set and no supervisor has provided one.
        """
        return _reveal("redis_url", self.redis_url)


def load_settings(**overrides: Any) -> Settings:
    """Read all sources once; the data directory comes back absolute.

    Args:
        overrides: what the command line said; a value of None counts as not said.

    Raises:
        ConfigurationError: At least one setting is wrong; all problems are listed, no values.
    """
    said = {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = Settings(**said)
    except ValidationError as error:
        raise ConfigurationError([_describe(problem) for problem in error.errors()]) from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigurationError([f"settings file: {error}"]) from error
    if settings.lane == "auto":
        lane = "compiled" if is_lane_possible() else "grpcio"
        settings = settings.model_copy(update={"lane": lane})
    conflicts = _find_conflicts(settings)
    if conflicts:
        raise ConfigurationError(conflicts)
    paths = {
        name: getattr(settings, name) for name in ("data_dir", "heads_copy_dir", *_TLS_DEFAULTS)
    }
    settings = settings.model_copy(
        update={name: _to_absolute(path) for name, path in paths.items() if path is not None}
    )
    if settings.insecure_loopback or settings.tls_certificate is not None:
        return settings
    folder = settings.data_dir / PKI_FOLDER
    return settings.model_copy(update={name: folder / file for name, file in _TLS_DEFAULTS.items()})


def uses_development_pki(settings: Settings) -> bool:
    """Tell whether the ports' certificate is that of the authority in the data directory."""
    own = settings.data_dir / PKI_FOLDER / _TLS_DEFAULTS["tls_certificate"]
    return settings.tls_certificate == own


def _to_absolute(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - keeps symlinks


def _find_conflicts(settings: Settings) -> list[str]:
    """Return what no field can say alone."""
    problems = []
    named = [name for name in _TLS_DEFAULTS if getattr(settings, name) is not None]
    if named and settings.insecure_loopback:
        problems.append(f"insecure_loopback: contradicts {named[0]}; take one of them away")
    elif named:
        missing = [name for name in _TLS_FILES if name not in named]
        problems.extend(
            f"{name}: certificate, key and client authority are set together" for name in missing
        )
    if settings.redis_url is not None and not is_private(settings.redis_url.get_secret_value()):
        problems.append(
            "redis_url: only by unix://, on loopback, or with TLS (rediss://) that is verified"
        )
    if settings.journal_budget_bytes < _SEGMENTS_MIN * settings.journal_segment_bytes:
        problems.append(
            f"journal_budget_bytes: must hold {_SEGMENTS_MIN} files of journal_segment_bytes"
        )
    problems.extend(
        f"{name}: without TLS (insecure_loopback) only on loopback"
        for name in ("decision_listen", "control_listen", "http_listen")
        if settings.insecure_loopback and not stays_here(getattr(settings, name) or "localhost:0")
    )
    return problems


def _find_settings_file() -> Path | None:
    named = os.environ.get(SETTINGS_FILE_VARIABLE)
    if named:
        file = Path(named)
        if file.suffix not in {".toml", ".yaml", ".yml"} or not file.is_file():
            raise ConfigurationError(
                [f"{SETTINGS_FILE_VARIABLE}: must name an existing .toml or .yaml file"]
            )
        return file
    found = [file for file in (Path("riskgate.toml"), Path("riskgate.yaml")) if file.is_file()]
    if len(found) > 1:
        raise ConfigurationError(["riskgate.toml and riskgate.yaml both exist: keep one"])
    return found[0] if found else None


def _describe(problem: Any) -> str:
    # The value is left out on purpose: it may be a URL with a password.
    name = ".".join(str(part) for part in problem["loc"]) or "settings"
    return f"{name}: {problem['msg'].removeprefix('Value error, ')}"


def _reveal(name: str, secret: SecretStr | None) -> str:
    if secret is None:
        raise ConfigurationError([f"{name}: not set; run `riskgate serve` or set it"])
    return secret.get_secret_value()
