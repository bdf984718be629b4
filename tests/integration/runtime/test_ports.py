"""Ports that are free and ports that are taken."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensus.errors import ConfigurationError
from sensus.runtime import ports
from sensus.runtime.up import make_plan
from sensus.settings import Settings


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_zero_is_any_free_port() -> None:
    port = ports.choose(0, "SENSUS_PORT")

    with socket.create_server(("127.0.0.1", port)):
        pass


def test_no_port_is_given_twice_nor_one_that_a_connection_may_take() -> None:
    given = [ports.choose(0, "SENSUS_PORT") for _ in range(200)]

    assert len(set(given)) == 200
    assert max(given) < 32_768


def test_a_free_port_is_itself() -> None:
    port = ports.choose(0, "SENSUS_PORT")

    assert ports.choose(port, "SENSUS_PORT") == port


def test_a_taken_port_is_named_with_its_setting_and_the_way_out(taken: int) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        ports.choose(taken, "SENSUS_PORT")
    assert str(refusal.value) == f"port {taken} is taken (SENSUS_PORT); choose another or --port 0"

    with pytest.raises(ConfigurationError, match=r"\(SENSUS_FLOWER_PORT\); choose another or SENSUS_FLOWER_PORT=0$"):
        ports.choose(taken, "SENSUS_FLOWER_PORT")


def test_a_port_is_free_right_after_its_server_has_gone(taken: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            connection, _ = server.accept()
            connection.close()  # this side closes first, so the port is left in TIME_WAIT

    assert ports.choose(port, "SENSUS_PORT") == port


def test_a_number_that_is_no_port_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="SENSUS_PORT=70000 is no port"):
        ports.choose(70_000, "SENSUS_PORT")


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"port 0 on 192\.0\.2\.1 can't be used \(SENSUS_PORT\)"):
        ports.choose(0, "SENSUS_PORT", host="192.0.2.1")


def test_one_port_for_two_is_named_with_both_settings(tmp_path: Path) -> None:
    port = ports.choose(0, "a test")
    asked = Settings(
        _env_file=None,
        data_dir=tmp_path,
        port=port,
        flower_port=port,
        database_url="postgresql://nobody@127.0.0.1:9/none",
        redis_url="redis://127.0.0.1:9/0",
    )
    with pytest.raises(ConfigurationError, match=f"SENSUS_PORT and SENSUS_FLOWER_PORT are both {port}"):
        make_plan(asked)
