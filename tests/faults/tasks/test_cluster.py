"""The cluster of broker and workers, driven through pytest-celery: killed, restarted, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import Celery
from pytest_celery import (
    CeleryBrokerCluster,
    CeleryTestBroker,
    CeleryTestSetup,
    CeleryTestWorker,
    CeleryWorkerCluster,
)
from sqlalchemy.orm import Session

import celery_config
from db.session import Database
from tests.faults.tasks.conftest import StartWorker
from tests.faults.tasks.nodes import BrokerProcess, WorkerProcess
from tests.integration.tasks.made import is_scored, scores_of, store_samples, wave
from tests.servers import PrivateServers
from tests.waiting import wait_for

pytestmark = pytest.mark.faults


class Setup(CeleryTestSetup):
    """A sender with the product's own queues and routes."""

    @classmethod
    def update_app_config(cls, app: Celery) -> None:
        app.conf.update(
            task_queues=celery_config.task_queues,
            task_routes=celery_config.task_routes,
            broker_transport_options=celery_config.broker_transport_options,
        )


@pytest.fixture
def celery_setup_cls() -> type[CeleryTestSetup]:
    return Setup


@pytest.fixture
def celery_broker_cluster(servers: PrivateServers) -> CeleryBrokerCluster:
    return CeleryBrokerCluster(CeleryTestBroker(BrokerProcess(servers.redis)))


@pytest.fixture
def celery_backend_cluster() -> None:
    """There is none: results are rows."""


@pytest.fixture
def celery_backend_cluster_config() -> None:
    """There is none."""


@pytest.fixture
def celery_worker_cluster(start_worker: StartWorker, celery_setup_app: Celery) -> Iterator[CeleryWorkerCluster]:
    cluster = CeleryWorkerCluster(CeleryTestWorker(WorkerProcess(start_worker("anomaly")), app=celery_setup_app))
    yield cluster
    cluster.teardown()


def test_a_cluster_that_loses_its_worker_and_its_broker_goes_on(
    celery_setup: CeleryTestSetup, database: Database, session: Session
) -> None:
    assert celery_setup.ready(control=True)

    def scored(name: str) -> bool:
        series_id = store_samples(database, wave(20), name)
        celery_setup.app.send_task("tasks.scoring.score_series", kwargs={"series_ids": [series_id]})
        wait_for(lambda: is_scored(session, series_id), f"{name} is scored", timeout_s=60)
        return len(scores_of(session, series_id)) == 20

    assert scored("before")

    celery_setup.worker.kill()
    assert not celery_setup.worker.ready()
    waiting = store_samples(database, wave(20), "sent while nobody listens")
    celery_setup.app.send_task("tasks.scoring.score_series", kwargs={"series_ids": [waiting]})
    celery_setup.worker.restart()
    wait_for(lambda: is_scored(session, waiting), "what waited is scored", timeout_s=60)

    celery_setup.broker.restart()
    assert scored("after the broker's restart")

    celery_setup.broker.kill()
    celery_setup.broker.restart()
    assert scored("after the broker's death")
