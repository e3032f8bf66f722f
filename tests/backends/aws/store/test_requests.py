"""Requests to AWS are the bill: how many a prediction, a batch run and an open History page take."""

from __future__ import annotations

import json
import time
from collections import Counter

import pytest

from matinee.backends.aws.adapters import TRAITS
from matinee.backends.aws.files import S3Files
from matinee.backends.aws.store import DynamoStore
from matinee.backends.factory import Backend, StoreTraits
from matinee.backends.local.lambda_service.service import LambdaService
from matinee.client.core import Client
from matinee.lambda_api.invoker import LambdaInvoker
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources
from matinee.ports import LaunchStatus, RunQuery
from matinee.queue.claims import finish, leave_unless_due, renew_slot
from matinee.queue.dispatch import dispatch
from matinee.runs import LEASE_S, Progress, succeed
from matinee.settings import DISPATCHER, Settings
from matinee.testing.store_contract_runs import claim_next
from support.wire import Wire

PARAMETERS = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def manifest(name, kind):
    return PredictorManifest(name, kind, name, "", PARAMETERS, {"type": "integer"}, Resources())


RELEASE = Release(
    "app",
    "App",
    1,
    0.0,
    tuple(
        ComponentManifest(p.name, "h", "v1", (p,)) for p in (manifest("double", "realtime"), manifest("plan", "batch"))
    ),
)


MOST = {"submit": 4, "dispatch": 14, "claim": 5, "heartbeat": 2, "finish": 2, "leave": 4, "dispatch at the end": 9}


class Launched:
    """A launcher whose workers are this test."""

    def __init__(self):
        self.slots = []

    def launch(self, slot):
        self.slots.append(slot)
        return "task/1"

    def status(self, slots):
        return {slot.token: LaunchStatus(ended=False) for slot in slots}

    def stop(self, slot):
        pass


@pytest.fixture(scope="module")
def service():
    service = LambdaService()
    service.start()
    service.put_builtin("double", lambda payload, context: json.dumps(2 * json.loads(payload)["n"]).encode())
    service.put_builtin(DISPATCHER, lambda payload, context: b"{}")
    yield service
    service.stop()


@pytest.fixture
def invoker(service):
    return LambdaInvoker(endpoint=service.endpoint, region="eu-central-1", secret=service.secret)


@pytest.fixture
def client(store, session, invoker):
    store.put_release(RELEASE)
    backend = Backend(store, S3Files(session), invoker, logs=None, traits=StoreTraits(**TRAITS))
    client = Client(backend, Settings(backend="aws"), "ana")
    assert client.predict("double", {"n": 2}).result == 4
    return client


class Calls:
    """The requests of a client that sends them to the local service its own way; to be asked as a `Wire` is."""

    def __init__(self, client):
        self.sent, self._events = [], client.meta.events
        self._events.register("before-send.lambda", self._note)

    def _note(self, request, **_):
        self.sent.append(request.url)

    @property
    def operations(self):
        return Counter(self.sent)

    def off(self):
        self._events.unregister("before-send.lambda", self._note)


@pytest.fixture
def wires(session, invoker, client):
    """What is sent to DynamoDB, S3 and Lambda, once everything has been used once."""
    client.release()
    wires = {name: Wire(session.client(name)) for name in ("dynamodb", "s3")}
    wires["lambda"] = Calls(invoker._client)
    yield wires
    for wire in wires.values():
        wire.off()


def counted(wires):
    counts = {name: wire.operations.total() for name, wire in wires.items()}
    for wire in wires.values():
        wire.sent.clear()
    return counts


def test_a_realtime_prediction_is_two_requests(client, wires):
    client.release()
    counted(wires)
    assert client.predict("double", {"n": 21}).result == 42
    assert counted(wires) == {"dynamodb": 1, "s3": 0, "lambda": 1}


def test_a_batch_run_from_submit_until_its_worker_has_left(client, store, wires):
    worker = DynamoStore(store._session)
    client.cancel(client.submit("plan", {"n": 0}).id)
    client.release()
    worker._lists.register("plan")
    counted(wires)
    run = client.submit("plan", {"n": 1})
    spent = {"submit": counted(wires)}
    launcher = Launched()
    dispatch(worker, launcher, "plan", max_workers=1, version="h", now=time.time())
    spent["dispatch"] = counted(wires)
    (slot,) = launcher.slots
    assert renew_slot(worker, slot, now=time.time())
    running, entry = claim_next(worker, slot.token, time.time())
    spent["claim"] = counted(wires)
    renew_slot(worker, slot, now=time.time())
    worker.heartbeat(entry, visible_at=time.time() + LEASE_S, progress=Progress(0.5))
    spent["heartbeat"] = counted(wires)
    finish(worker, running, lambda run, entry: succeed(run, result=2, now=time.time()))
    spent["finish"] = counted(wires)
    leave_unless_due(worker, slot, time.time())
    spent["leave"] = counted(wires)
    dispatch(worker, launcher, "plan", max_workers=1, version="h", now=time.time())
    spent["dispatch at the end"] = counted(wires)
    assert client.run(run.id).result == 2
    totals = {step: sum(counts.values()) for step, counts in spent.items()}
    print(totals)
    assert all(totals[step] <= most for step, most in MOST.items()), totals


class TestHistory:
    @pytest.fixture
    def page(self, client):
        for number in range(30):
            client.predict("double", {"n": number})
        return lambda: client.runs(RunQuery(user="ana", limit=25))

    def test_an_open_page_is_one_request_each_time_it_looks(self, page, wires):
        assert len(page()) == 25
        counted(wires)
        assert len(page()) == 25
        assert counted(wires) == {"dynamodb": 1, "s3": 0, "lambda": 0}

    def test_a_page_another_process_wrote_is_two_requests_the_first_time(self, page, store, wires):
        other = DynamoStore(store._session)
        counted(wires)
        assert len(other.runs(RunQuery(user="ana", limit=25))) == 25
        assert counted(wires)["dynamodb"] == 2
        other.runs(RunQuery(user="ana", limit=25))
        assert counted(wires)["dynamodb"] == 1

    def test_a_hundred_people_read_the_release_and_the_queue_once(self, client, wires):
        run = client.submit("plan", {"n": 1})
        client.queue_position(run)
        counted(wires)
        others = [Client(client.backend, client.settings, f"person {n}", owner=True) for n in range(100)]
        assert {other.release().number for other in others} == {1}
        assert {other.queue_position(run) for other in others} == {0}
        assert {other.why_waiting(run) for other in others} == {""}
        assert counted(wires) == {"dynamodb": 0, "s3": 0, "lambda": 0}

    def test_a_run_submitted_since_has_its_place_at_once(self, client, wires):
        first, second = (client.submit("plan", {"n": n}) for n in range(2))
        assert client.queue_position(first) is not None
        third = client.submit("plan", {"n": 3})
        before = client.queue_position(second)
        assert client.queue_position(third) == before + 1

    def test_an_unfinished_run_on_it_adds_two_requests(self, page, client, wires):
        client.submit("plan", {"n": 1})
        counted(wires)
        waiting = page()[0]
        assert counted(wires)["dynamodb"] == 2
        client.entry(waiting)
        assert counted(wires)["dynamodb"] == 1
