"""Every setting of Sensus: read once from `SENSUS_*` and `.env`, validated, and passed down."""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from sensus import env_file, secret_files
from sensus.errors import ConfigurationError

PREFIX = "SENSUS_"
DEFAULT_DATA_DIR = Path("data")
# In the data folder, while a stack runs there: its addresses and its first access.
RUN_FILE = "run.json"
# There as well, for good: what the first start made.
SECRETS_FILE = "secrets.json"
# Kubernetes puts such variables into every pod of a namespace that has a service called `sensus...`.
_SERVICE_LINK_NAME = re.compile(
    r"^SENSUS_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$"
)
_SERVICE_LINK_VALUE = re.compile(r"^(tcp|udp|sctp)://")

Detector = Literal["isolation_forest", "seasonal_baseline", "half_space_trees", "ensemble"]
DETECTORS: tuple[str, ...] = get_args(Detector)

_SCHEMA = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# Such a URL may hold a comma, so a separator is one only where the next URL begins.
_BETWEEN_URLS = re.compile(rf"[\s,]+(?={_SCHEMA.pattern})")

_TEXTS = (str, str | None, SecretStr | None, tuple[str, ...])
_ADDRESSES = ("host", "flower_host")
PositiveInt = Annotated[int, Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """The settings of one process.  The README table is made from these lines."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=env_file.NAME, extra="ignore", frozen=True)

    data_dir: Path = Field(DEFAULT_DATA_DIR, description="Where `sensus up` keeps its servers, secrets and schedules.")
    host: str = Field("127.0.0.1", description="Address the API listens on, and a worker or beat with its figures.")
    port: Port = Field(8080, description="Port of the API; 0 picks a free one.")
    flower_host: str = Field("127.0.0.1", description="Address Flower listens on.")
    flower_port: Port = Field(5555, description="Port of Flower; 0 picks a free one.")
    metrics_port: Port = Field(
        0,
        description="Port on which a worker or beat of `sensus run` shows its figures; 0: on none. The API shows those "
        "of `sensus up`.",
    )
    postgres_port: Port = Field(15432, description="Port of the embedded PostgreSQL; 0 picks a free one.")
    redis_port: Port = Field(16379, description="Port of the embedded Redis; 0 picks a free one.")

    database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL to use instead of the embedded one: postgresql://user:password@host/name.",
    )
    database_password: SecretStr | None = Field(
        None, description="Password of the user in SENSUS_DATABASE_URL, where that has none."
    )
    reporting_password: SecretStr | None = Field(
        None,
        min_length=8,
        description="Password of the role sensus_reporting, which `sensus db upgrade` makes for dashboards; the "
        "embedded PostgreSQL has a password of its own for it.",
    )
    database_direct_url: SecretStr | None = Field(
        None,
        description="PostgreSQL itself, where SENSUS_DATABASE_URL leads to a pooler in transaction mode, such as "
        "PgBouncer: for migrations, and for locks that outlive a transaction.",
    )
    redis_url: SecretStr | None = Field(
        None, description="Redis to use instead of the embedded one: redis://:password@host:6379/0."
    )
    redis_password: SecretStr | None = Field(None, description="Password of SENSUS_REDIS_URL, where that has none.")
    ollama_url: str = Field("http://127.0.0.1:11434", description="The Ollama server that explains alerts.")

    alertmanager_url: SecretStr | None = Field(
        None,
        description="The Alertmanager whose list of alerts is compared with ours, http://user:password@host:9093; "
        "the members of one cluster by commas.",
    )
    alertmanager_receivers: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Receivers of that Alertmanager, by commas: an alert that never arrived is stored only if it goes "
        "to one of them; empty: to any.",
    )
    anomaly_alerts: bool = Field(
        False,
        description="Whether that Alertmanager is told of our own anomalies, as alerts named SensusAnomaly: on or off.",
    )
    stale_after_hours: float = Field(
        25.0, ge=0, le=100_000, description="Hours without a repeat after which a firing alert is stale; 0: never."
    )

    github_secret: SecretStr | None = Field(
        None, min_length=8, description="Secret of the GitHub webhook that posts to /api/v1/events/github."
    )

    llm_model: str = Field(
        "llama2", min_length=1, description="Name of the model, or of several by commas in the order of preference."
    )
    llm_url: str | None = Field(
        None,
        description="The model server, when it is not at SENSUS_OLLAMA_URL; one that speaks like OpenAI's mostly ends "
        "with /v1.",
    )
    llm_key: SecretStr | None = Field(None, min_length=1, description="Key that the model server asks for.")
    llm_api: Literal["ollama", "openai"] = Field(
        "ollama", description="What the model server speaks: `ollama`, or `openai` as vLLM, llama.cpp and others do."
    )
    embed_model: str | None = Field(
        None,
        min_length=1,
        description="Model of the same server that makes vectors of texts, so that runbooks and past incidents are "
        "found by their meaning too.",
    )
    llm_deadline_s: float = Field(120.0, gt=0, le=240, description="Longest wait for a model's answer, in seconds.")
    llm_num_ctx: int = Field(4096, ge=2048, description="Context window asked of the model, in tokens.")

    incident_settle_s: float = Field(
        4.0,
        gt=0,
        le=600,
        description="Seconds without news after which the model is asked about an incident; longer the more often it "
        "changed.",
    )
    service_labels: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Labels that name a service, by commas, looked at before the usual ones."
    )
    topology_labels: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Pairs of labels that tell of a call, caller>callee by commas, beside the usual ones; `service` is "
        "whatever names the service.",
    )

    runbooks: Path | None = Field(
        None, description="Folder of Markdown files that tell what to do; their sections are shown with incidents."
    )

    notify_urls: SecretStr | None = Field(
        None,
        description="Where finished analyses of incidents go: URLs of Apprise, by spaces or commas, such as "
        "slack://..., mailto://..., json://....",
    )
    notify_after_s: float = Field(
        30.0,
        ge=0,
        le=86_400,
        description="Seconds that an incident must last; nobody is told of one that is over sooner.",
    )
    notify_timeout_s: float = Field(20.0, gt=0, le=120, description="Longest wait for one of those URLs, in seconds.")
    notify_retry_s: float = Field(
        15.0,
        gt=0,
        le=3_600,
        description="Seconds until what could not be sent is tried again; doubled each time, up to 5 minutes.",
    )
    public_url: str | None = Field(
        None, description="The address of Sensus as people reach it, for links; by default that of the API."
    )

    jwt_secret: SecretStr | None = Field(
        None, min_length=32, description="Signs access tokens; made at first start by `sensus up`."
    )
    admin_password: SecretStr | None = Field(
        None, min_length=8, description="Password of the user `admin`; made at first start by `sensus up`."
    )
    source_key: SecretStr | None = Field(
        None,
        description="API key with scopes read and write for senders; made at first start by `sensus up`.",
    )
    token_minutes: PositiveInt = Field(30, description="Life of an access token, in minutes.")

    rate_limit_metrics: PositiveInt = Field(100, description="Requests a minute and user: metrics.")
    rate_limit_alerts: PositiveInt = Field(50, description="Requests a minute and user: alerts.")
    rate_limit_analysis: PositiveInt = Field(30, description="Requests a minute and user: analyses.")
    rate_limit_default: PositiveInt = Field(60, description="Requests a minute and user: everything else.")
    rate_limit_keys: PositiveInt = Field(6000, description="Requests a minute of an API key made without its own rate.")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Addresses or networks of proxies whose X-Forwarded-For is believed, by commas.",
    )
    new_series_per_hour: int = Field(
        100_000, ge=0, description="New series that a user or key may make in an hour; 0 for any number."
    )
    max_body_bytes: PositiveInt = Field(4 * 1024 * 1024, description="Largest request body.")

    retention_days: PositiveInt = Field(90, description="Days that samples, alerts, analyses and incidents are kept.")
    score_retention_days: PositiveInt = Field(30, description="Days that the scores of samples are kept.")
    training_days: int = Field(28, ge=5, description="Days of history that the nightly training reads, 5 or more.")
    detector: Detector = Field(
        "isolation_forest",
        description="What scores series, unless POST /api/v1/detectors chose another: isolation_forest, "
        "seasonal_baseline, half_space_trees or ensemble.",
    )
    challenger_share: float = Field(
        0.0, ge=0, le=1, description="Share of the series that have the figures of the challenger as theirs."
    )

    web_workers: PositiveInt = Field(2, description="Processes of the API.")
    web_threads: PositiveInt = Field(8, description="Threads of each API process.")
    worker_concurrency: PositiveInt = Field(2, description="Processes of the workers `anomaly` and `llm`.")

    otlp_endpoint: str = Field(
        "",
        description="OpenTelemetry collector that is told traces by OTLP over HTTP, http://host:4318; empty: none are "
        "made.",
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    log_format: Literal["json", "console"] = Field("console", description="Form of the log lines.")

    @field_validator("port", "flower_port", "metrics_port", "postgres_port", "redis_port", mode="before")
    @classmethod
    def _not_a_service_link(cls, value: object, info: ValidationInfo) -> object:
        # A Kubernetes service called `sensus` sets SENSUS_PORT=tcp://10.0.0.1:8080 in its neighbours.
        if isinstance(value, str) and _SERVICE_LINK_VALUE.match(value) and info.field_name:
            return cls.model_fields[info.field_name].default
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _blank_is_unset(cls, value: object, info: ValidationInfo) -> object:
        name = info.field_name
        return cls.model_fields[name].default if name and _is_unset(name, value) else value

    @field_validator("llm_url", "llm_key", "embed_model", "public_url", mode="before")
    @classmethod
    def _blank_is_none(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("trusted_proxies", "alertmanager_receivers", "service_labels", "topology_labels", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _listed(value) if isinstance(value, str) else value

    @field_validator("topology_labels")
    @classmethod
    def _pairs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for part in value:
            caller, _, callee = part.partition(">")
            if not caller or not callee or ">" in callee:
                raise ValueError("must be pairs such as client>server, by commas")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for part in value:
            ipaddress.ip_network(part, strict=False)
        return value

    @field_validator("database_url", "database_direct_url")
    @classmethod
    def _postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(
            ("postgresql://", "postgresql+psycopg://", "postgres://")
        ):
            raise ValueError("must start with postgresql://")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("redis://", "rediss://")):
            raise ValueError("must start with redis:// or rediss://")
        return value

    @field_validator("alertmanager_url")
    @classmethod
    def _http_servers(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value().strip():
            return None
        for url in _listed(value.get_secret_value()):
            parts = urlsplit(url)
            try:
                is_sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
            except ValueError:  # a port that is no number
                is_sound = False
            if not is_sound or parts.query or parts.fragment:
                raise ValueError("must be like http://host:9093, or several such by commas")
        return value

    @model_validator(mode="after")
    def _alerts_have_a_place_to_go(self) -> Self:
        if self.anomaly_alerts and not self.alertmanager_urls():
            raise ValueError(f"{PREFIX}ANOMALY_ALERTS is on, so {PREFIX}ALERTMANAGER_URL must be set")
        return self

    @field_validator("notify_urls")
    @classmethod
    def _all_urls(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value().strip():
            return None
        for number, url in enumerate(_urls(value.get_secret_value()), 1):
            if not _SCHEMA.match(url):
                raise ValueError(f"number {number} must be a URL such as slack://..., mailto://... or json://...")
        return value

    @field_validator("ollama_url", "llm_url", "public_url")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    @field_validator("llm_model")
    @classmethod
    def _some_model(cls, value: str) -> str:
        if not _listed(value):
            raise ValueError("must name a model")
        return value

    @field_validator("llm_api")
    @classmethod
    def _has_an_address(cls, value: str, info: ValidationInfo) -> str:
        if value == "openai" and not info.data.get("llm_url"):
            raise ValueError("needs SENSUS_LLM_URL as well")
        return value

    def require_database_url(self) -> str:
        """The database's address as SQLAlchemy takes it.  Raises ConfigurationError when none is set."""
        if self.database_url is None:
            raise ConfigurationError(f"SENSUS_DATABASE_URL is {self.unset()}")
        url = _with_password(self.database_url, self.database_password)
        return "postgresql+psycopg://" + url.split("://", 1)[1]

    def direct_url(self) -> str | None:
        """The address of PostgreSQL behind a pooler, as SQLAlchemy takes it; None where there is no pooler."""
        if self.database_direct_url is None:
            return None
        return (
            "postgresql+psycopg://"
            + _with_password(self.database_direct_url, self.database_password).split("://", 1)[1]
        )

    def require_unpooled_url(self) -> str:
        """The address at which a connection is one's own.  Raises ConfigurationError when none is set."""
        return self.direct_url() or self.require_database_url()

    def require_redis_url(self) -> str:
        """The address of Redis, by TLS with a proof of who is there.  Raises ConfigurationError when none is set."""
        if self.redis_url is None:
            raise ConfigurationError(f"SENSUS_REDIS_URL is {self.unset()}")
        return _verifying(_with_password(self.redis_url, self.redis_password))

    def unset(self) -> str:
        """What is to be said of a server whose address neither a setting nor a running stack gives."""
        return (
            f"not set, and no `sensus up` runs in {self.data_dir.resolve()}; "
            "where one runs elsewhere, SENSUS_DATA_DIR is its folder"
        )

    def llm_models(self) -> tuple[str, ...]:
        """The models that may be asked, the preferred one first."""
        return _listed(self.llm_model)

    def model_url(self) -> str:
        """Where they are asked."""
        return self.llm_url or self.ollama_url

    def notification_urls(self) -> tuple[str, ...]:
        """Where analyses go, with the secrets in the URLs; often nowhere."""
        return () if self.notify_urls is None else _urls(self.notify_urls.get_secret_value())

    def people_url(self) -> str:
        """The address of Sensus for a link, without a slash at its end."""
        return self.public_url or address(self.host, self.port)

    def alertmanager_urls(self) -> tuple[str, ...]:
        """The address of each Alertmanager, with its credentials and without a slash at its end; often none."""
        if self.alertmanager_url is None:
            return ()
        return tuple(url.rstrip("/") for url in _listed(self.alertmanager_url.get_secret_value()))

    def require_jwt_secret(self) -> str:
        """What signs access tokens.  Raises ConfigurationError when none is set."""
        if self.jwt_secret is None:
            raise ConfigurationError("SENSUS_JWT_SECRET is not set; set it to at least 32 random characters")
        return self.jwt_secret.get_secret_value()


@dataclass(frozen=True, slots=True)
class Origin:
    """One setting as `sensus check` prints it: secrets are masked."""

    name: str
    value: str
    source: Literal["environment", ".env", "file", "default"]
    description: str


def load() -> Settings:
    """The settings of this process.

    Raises ConfigurationError, in one line, for an unknown name (with the nearest known one) or a bad value.
    """
    environment = {**env_file.read(PREFIX), **os.environ}
    _refuse_unknown(environment)
    in_files = secret_files.read(environment, secret_names())
    from_files: dict[str, Any] = {name.removeprefix(PREFIX).lower(): value for name, value in in_files.items()}
    try:
        return Settings(**from_files)
    except ValidationError as error:
        raise ConfigurationError("; ".join(_told(error))) from None


@cache
def current() -> Settings:
    """The settings, read at the first call in this process."""
    return load()


def of_running_stack(read: Settings) -> Settings:
    """The settings, with the servers and secrets of the `sensus up` that runs on the data folder, if one does.

    For commands that are typed beside it.  What is set stays; without a running stack nothing is added.
    """
    if not (read.data_dir / RUN_FILE).exists():
        return read
    found: dict[str, SecretStr] = {}
    for file, fields in ((RUN_FILE, ("database_url", "redis_url")), (SECRETS_FILE, ("jwt_secret",))):
        try:
            facts = json.loads((read.data_dir / file).read_text("utf-8"))
            found |= {name: SecretStr(facts[name]) for name in fields if getattr(read, name) is None}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # Somebody else's file, or one that is being written; what it would have named stays unset.
    return read.model_copy(update=found)


def names() -> tuple[str, ...]:
    """Every setting's variable, in the order of the README table."""
    return tuple(PREFIX + field.upper() for field in Settings.model_fields)


def variables() -> tuple[str, ...]:
    """Every variable that may be set: the settings, and the files of those that are secrets."""
    return (*names(), *(name + secret_files.SUFFIX for name in secret_names()))


def secret_names() -> tuple[str, ...]:
    """Those of the variables that hold secrets; each may be read from the file that `..._FILE` names."""
    return tuple(
        PREFIX + field.upper() for field, info in Settings.model_fields.items() if info.annotation == SecretStr | None
    )


def origins(settings: Settings) -> Iterator[Origin]:
    """Each setting with its value, masked when secret, and where it came from."""
    in_file = env_file.read(PREFIX)
    in_files = {name for name in secret_names() if {**in_file, **os.environ}.get(name + secret_files.SUFFIX)}
    for field, info in Settings.model_fields.items():
        name = PREFIX + field.upper()
        value = getattr(settings, field)
        yield Origin(
            name=name,
            value="" if value is None else ",".join(value) if isinstance(value, tuple) else str(value),
            source="file" if name in in_files else _source(name, field, in_file),
            description=info.description or "",
        )


def _source(name: str, field: str, in_file: Mapping[str, str | None]) -> Literal["environment", ".env", "default"]:
    if _is_unset(field, os.environ.get(name, in_file.get(name))):
        return "default"
    return "environment" if name in os.environ else ".env" if name in in_file else "default"


def readme_table() -> str:
    """The settings as a Markdown table."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for field, info in Settings.model_fields.items():
        default = "" if info.default in (None, ()) else f"`{info.default}`"
        rows.append(f"| `{PREFIX}{field.upper()}` | {default} | {info.description} |")
    secrets = ", ".join(f"`{name}`" for name in secret_names())
    note = f"A secret may stand in a file: `..._FILE` with its path, in place of {secrets}."
    return "\n".join([*rows, "", note]) + "\n"


def address(host: str, port: int) -> str:
    """The URL of a server of ours, from where it listens."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{reachable}:{port}"


def _urls(text: str) -> tuple[str, ...]:
    return tuple(_BETWEEN_URLS.split(text.strip(" \t\r\n,")))


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _with_password(url: SecretStr, password: SecretStr | None) -> str:
    parts = urlsplit(url.get_secret_value())
    if password is None or parts.password is not None:
        return url.get_secret_value()
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password.get_secret_value(), safe='')}@{host}"))


def plain_url(database_url: str) -> str:
    """The address of a database as libpq and everybody's tools take it: without the name of SQLAlchemy's driver."""
    return database_url.replace("postgresql+psycopg://", "postgresql://", 1)


def _verifying(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "rediss" or "ssl_cert_reqs" in parse_qs(parts.query):
        return url
    # Celery would take anybody's certificate; redis-py asks for a good one anyway.
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, "ssl_cert_reqs=required")))))


def _is_unset(field: str, value: object) -> bool:
    # A text may be empty; anything else that is blank was left out, as in `SENSUS_PORT=` of a file that is filled in.
    if not isinstance(value, str) or value.strip():
        return False
    # An empty address would be every address of the machine.
    return field in _ADDRESSES or Settings.model_fields[field].annotation not in _TEXTS


def _refuse_unknown(environment: Mapping[str, str | None]) -> None:
    known = variables()
    for name, value in environment.items():
        if not name.startswith(PREFIX) or name in known:
            continue
        if _SERVICE_LINK_NAME.match(name) or _SERVICE_LINK_VALUE.match(value or ""):
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        raise ConfigurationError(f"unknown setting {name}; did you mean {near[0]}?")


def _told(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False):
        name = PREFIX + "_".join(str(part) for part in problem["loc"][:1]).upper()
        message = problem["msg"].removeprefix("Value error, ")
        # What concerns several settings names them itself.
        yield f"{name}: {message}" if problem["loc"] else message
