"""The process table."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from sensus.errors import ConfigurationError
from sensus.runtime.processes import Stack, process_table

SECRETS = ("broker-secret", "database-secret", "flower-secret", "jwt-secret")


class FakeServer:
    stop_signal = signal.SIGINT

    def prepare(self) -> None: ...

    def command(self) -> list[str]:
        return ["server"]

    def ready(self) -> bool:
        return True


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(
        data_dir=tmp_path,
        environment={
            "PATH": "/bin",
            "PGHOST": "elsewhere",
            "SENSUS_DATABASE_URL": "postgresql://sensus:database-secret@127.0.0.1/sensus",
            "SENSUS_REDIS_URL": "redis://:broker-secret@127.0.0.1/0",
            "SENSUS_JWT_SECRET": "jwt-secret",
        },
        redis_url="redis://:broker-secret@127.0.0.1/0",
        host="127.0.0.1",
        port=8080,
        flower_host="127.0.0.1",
        flower_port=5555,
        flower_password="flower-secret",
        postgres=FakeServer(),
        redis=FakeServer(),
    )


def test_servers_come_first_and_flower_last(stack: Stack) -> None:
    assert [spec.name for spec in process_table(stack)] == [
        "postgres",
        "redis",
        "web",
        "worker-anomaly",
        "worker-llm",
        "worker-maintenance",
        "beat",
        "flower",
    ]


def test_servers_of_the_user_are_not_started_by_us(stack: Stack) -> None:
    names = [spec.name for spec in process_table(replace(stack, postgres=None, redis=None))]

    assert names[0] == "web"
    assert len(names) == 6


def test_no_secret_is_in_a_list_of_arguments(stack: Stack) -> None:
    arguments = " ".join(part for spec in process_table(stack) for part in spec.command)

    assert not [secret for secret in SECRETS if secret in arguments]


def test_servers_are_told_no_secret_of_the_application(stack: Stack) -> None:
    for spec in process_table(stack)[:2]:
        assert dict(spec.env) == {"PATH": "/bin"}


def test_workers_put_their_work_back_at_sigterm(stack: Stack) -> None:
    workers = [spec for spec in process_table(stack) if spec.name.startswith("worker-")]

    assert [spec.env["REMAP_SIGTERM"] for spec in workers] == ["SIGQUIT"] * 3
    assert all(f"--queues={spec.name.removeprefix('worker-')}" in spec.command for spec in workers)


def test_a_long_training_and_a_slow_chat_server_leave_a_process_for_what_can_not_wait(stack: Stack) -> None:
    (worker,) = (spec for spec in process_table(stack) if spec.name == "worker-maintenance")

    assert "--concurrency=3" in worker.command


def test_flower_takes_no_password_of_which_it_would_take_a_part(stack: Stack) -> None:
    with pytest.raises(ConfigurationError, match="comma"):
        process_table(replace(stack, flower_password="pass,word"))


def test_flower_asks_for_the_password_and_listens_on_loopback_only(stack: Stack) -> None:
    flower = process_table(stack)[-1]

    assert flower.env["FLOWER_BASIC_AUTH"] == "admin:flower-secret"
    assert "--address=127.0.0.1" in flower.command


def test_an_ipv6_address_is_bound_in_brackets(stack: Stack) -> None:
    (web,) = (spec for spec in process_table(replace(stack, host="::1")) if spec.name == "web")

    assert "--bind=[::1]:8080" in web.command


def test_each_process_has_a_colour_of_its_own(stack: Stack) -> None:
    table = process_table(stack)

    assert len({spec.colour for spec in table}) == len(table)
