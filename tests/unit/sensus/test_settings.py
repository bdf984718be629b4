"""Settings are validated at start, and say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensus import settings
from sensus.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in settings.names():
        monkeypatch.delenv(name, raising=False)


def test_an_unknown_name_is_refused_with_the_nearest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSUS_RETENTION_DAY", "7")
    with pytest.raises(ConfigurationError, match="SENSUS_RETENTION_DAY; did you mean SENSUS_RETENTION_DAYS"):
        settings.load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SENSUS_API_PORT", "tcp://10.0.0.1:8080"),
        ("SENSUS_PORT", "tcp://10.0.0.1:8080"),
        ("SENSUS_API_SERVICE_HOST", "10.0.0.1"),
        ("SENSUS_API_PORT_8080_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_a_service_link_of_kubernetes_is_no_setting(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert settings.load().port == 8080


def test_a_misspelt_port_is_no_service_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSUS_FLOWERS_PORT", "5556")
    with pytest.raises(ConfigurationError, match="SENSUS_FLOWER_PORT"):
        settings.load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SENSUS_PORT", "eighty"),
        ("SENSUS_PORT", "70000"),
        ("SENSUS_JWT_SECRET", "short"),
        ("SENSUS_DATABASE_URL", "mysql://x"),
        ("SENSUS_REDIS_URL", "http://x"),
        ("SENSUS_OLLAMA_URL", "ollama"),
        ("SENSUS_ALERTMANAGER_URL", "alertmanager:9093"),
        ("SENSUS_ALERTMANAGER_URL", "http://a:9093, ftp://b"),
        ("SENSUS_ALERTMANAGER_URL", "http://a:port"),
        ("SENSUS_ALERTMANAGER_URL", "http://a/?silenced=false"),
        ("SENSUS_STALE_AFTER_HOURS", "inf"),
        ("SENSUS_STALE_AFTER_HOURS", "-1"),
        ("SENSUS_TRUSTED_PROXIES", "10.0.0.1, somewhere"),
        ("SENSUS_LOG_LEVEL", "LOUD"),
        ("SENSUS_RETENTION_DAYS", "0"),
        ("SENSUS_LLM_API", "openai"),
        ("SENSUS_LLM_MODEL", " , "),
        ("SENSUS_LLM_URL", "model.example.org"),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_setting(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        settings.load()
    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("SENSUS_PORT=9000\nSENSUS_LLM_MODEL=mistral\n")
    monkeypatch.setenv("SENSUS_PORT", "9001")
    read = settings.load()
    assert (read.port, read.llm_model) == (9001, "mistral")
    sources = {origin.name: origin.source for origin in settings.origins(read)}
    assert sources["SENSUS_PORT"] == "environment"
    assert sources["SENSUS_LLM_MODEL"] == ".env"
    assert sources["SENSUS_HOST"] == "default"


def test_an_unknown_name_in_the_file_is_refused_too() -> None:
    Path(".env").write_text("SENSUS_PROT=9000\n")
    with pytest.raises(ConfigurationError, match="did you mean SENSUS_PORT"):
        settings.load()


@pytest.mark.parametrize("value", ["", " "])
@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("SENSUS_PORT", "port"),
        ("SENSUS_HOST", "host"),
        ("SENSUS_FLOWER_HOST", "flower_host"),
        ("SENSUS_DATA_DIR", "data_dir"),
        ("SENSUS_RUNBOOKS", "runbooks"),
        ("SENSUS_ANOMALY_ALERTS", "anomaly_alerts"),
        ("SENSUS_STALE_AFTER_HOURS", "stale_after_hours"),
        ("SENSUS_WEB_WORKERS", "web_workers"),
        ("SENSUS_LOG_LEVEL", "log_level"),
    ],
)
def test_a_setting_without_a_value_is_not_set_unless_it_is_a_text(name: str, field: str, value: str) -> None:
    unset = settings.load()
    Path(".env").write_text(f"{name}={value}\n")
    read = settings.load()
    assert getattr(read, field) == getattr(unset, field)
    assert next(origin.source for origin in settings.origins(read) if origin.name == name) == "default"


def test_a_text_may_be_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("SENSUS_SERVICE_LABELS=team\nSENSUS_OTLP_ENDPOINT=http://127.0.0.1:4318\n")
    monkeypatch.setenv("SENSUS_SERVICE_LABELS", "")
    monkeypatch.setenv("SENSUS_OTLP_ENDPOINT", "")
    read = settings.load()
    assert (read.service_labels, read.otlp_endpoint) == ((), "")


@pytest.mark.parametrize(
    "broken",
    [
        "SENSUS_PORT 9000",
        "SENSUS_PORT: 9000",
        "SENSUS_PORT",
        "SENSUS_LLM_MODEL='mistral",
        "=9000",
        "  SENSUS_PORT 9000",
    ],
)
def test_a_broken_line_of_the_file_is_named(broken: str, caplog: pytest.LogCaptureFixture) -> None:
    Path(".env").write_text(f"# ours\n\nSENSUS_HOST=127.0.0.1\n\n\n{broken}\n")
    with pytest.raises(ConfigurationError, match=r"^\.env, line 6: must be NAME=VALUE"):
        settings.load()
    assert not caplog.records


def test_a_file_that_can_not_be_read_is_one_line() -> None:
    Path(".env").write_bytes("SENSUS_LLM_MODEL=m\xfc".encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"^\.env can't be read: it is not UTF-8$"):
        settings.load()


def test_what_is_in_the_file_for_others_is_left_to_them() -> None:
    Path(".env").write_text("export OTHERS\n# SENSUS_PORT 1\nexport SENSUS_PORT=9000\nMANY='lines\nof them'\n")
    assert settings.load().port == 9000


def test_a_folder_of_that_name_is_no_file_of_ours() -> None:
    Path(".env").mkdir()
    assert settings.load().port == 8080


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "an admin password of some length"
    monkeypatch.setenv("SENSUS_ADMIN_PASSWORD", secret)
    monkeypatch.setenv("SENSUS_DATABASE_URL", f"postgresql://u:{secret}@h/d")
    read = settings.load()
    assert not [origin for origin in settings.origins(read) if secret in origin.value]
    assert secret not in repr(read)


def test_models_are_in_the_order_of_preference_and_asked_at_their_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (settings.load().llm_models(), settings.load().model_url()) == (("llama2",), "http://127.0.0.1:11434")
    for name in ("SENSUS_LLM_URL", "SENSUS_LLM_KEY", "SENSUS_EMBED_MODEL", "SENSUS_RUNBOOKS"):
        monkeypatch.setenv(name, "")
    assert (settings.load().llm_url, settings.load().runbooks) == (None, None)
    monkeypatch.setenv("SENSUS_LLM_MODEL", "llama3.1:8b, llama2")
    monkeypatch.setenv("SENSUS_LLM_API", "openai")
    monkeypatch.setenv("SENSUS_LLM_URL", "https://models.example.org/v1/")
    read = settings.load()
    assert (read.llm_models(), read.model_url()) == (("llama3.1:8b", "llama2"), "https://models.example.org/v1")


def test_proxies_are_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSUS_TRUSTED_PROXIES", "10.0.0.1, 10.1.0.0/16,")
    assert settings.load().trusted_proxies == ("10.0.0.1", "10.1.0.0/16")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_becomes_the_driver_that_is_there(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("SENSUS_DATABASE_URL", f"{scheme}://u:p@h:5432/d")
    assert settings.load().require_database_url() == "postgresql+psycopg://u:p@h:5432/d"


def test_what_is_needed_and_missing_says_what_to_do() -> None:
    read = settings.load()
    for need, name in (
        (read.require_database_url, "SENSUS_DATABASE_URL"),
        (read.require_redis_url, "SENSUS_REDIS_URL"),
        (read.require_jwt_secret, "SENSUS_JWT_SECRET"),
    ):
        with pytest.raises(ConfigurationError, match=name):
            need()


def test_a_server_that_is_not_set_leads_to_the_folder_of_a_running_stack(tmp_path: Path) -> None:
    for need in (settings.load().require_database_url, settings.load().require_redis_url):
        with pytest.raises(ConfigurationError, match=f"runs in {tmp_path}/data; .*SENSUS_DATA_DIR is its folder"):
            need()


def test_every_setting_says_what_it_is_for() -> None:
    table = settings.readme_table()
    for name in settings.names():
        assert f"| `{name}` |" in table
    assert "| None |" not in table


def test_a_command_beside_a_running_stack_uses_its_servers_and_its_secret(tmp_path: Path) -> None:
    read = settings.load().model_copy(update={"data_dir": tmp_path})
    assert settings.of_running_stack(read) is read
    (tmp_path / "run.json").write_text('{"database_url": "postgresql://run", "redis_url": "redis://run"}')
    found = settings.of_running_stack(read)
    assert (found.require_database_url(), found.require_redis_url()) == ("postgresql+psycopg://run", "redis://run")
    assert found.jwt_secret is None
    (tmp_path / "secrets.json").write_text('{"jwt_secret": "of the stack"}')
    assert settings.of_running_stack(read).require_jwt_secret() == "of the stack"


@pytest.mark.parametrize("content", ["", "[]", "7", "{}"])
def test_a_damaged_run_file_is_passed_over(tmp_path: Path, content: str) -> None:
    read = settings.load().model_copy(update={"data_dir": tmp_path})
    (tmp_path / "run.json").write_text(content)
    assert settings.of_running_stack(read).database_url is None


def test_what_is_set_goes_before_a_running_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSUS_DATABASE_URL", "postgresql://set")
    (tmp_path / "run.json").write_text('{"database_url": "postgresql://run", "redis_url": "redis://run"}')
    found = settings.of_running_stack(settings.load().model_copy(update={"data_dir": tmp_path}))
    assert (found.require_database_url(), found.require_redis_url()) == ("postgresql+psycopg://set", "redis://run")


def test_alertmanagers_are_a_list_of_addresses_whose_passwords_stay_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSUS_ALERTMANAGER_URL", "http://ann:pass%2Cword@a:9093/, https://b/alerts")
    read = settings.load()
    assert read.alertmanager_urls() == ("http://ann:pass%2Cword@a:9093", "https://b/alerts")
    assert not [origin for origin in settings.origins(read) if "word@" in origin.value]
    assert "word@" not in repr(read)
    monkeypatch.setenv("SENSUS_ALERTMANAGER_URL", "")
    assert settings.load().alertmanager_urls() == ()
