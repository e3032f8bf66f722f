"""Each workload does its whole work with its own role, and nothing beyond it."""

from __future__ import annotations

import time

import pytest

import matinee
from matinee.backends.aws.files import PART_BYTES
from matinee.client.core import Client
from matinee.errors import BackendError, NotFoundError, PredictionError
from matinee.ports import LaunchStatus, RunQuery
from matinee.predictors.context import Context
from matinee.queue.claims import finish, leave_unless_due, renew_slot
from matinee.queue.dispatch import dispatch
from matinee.runs import LEASE_S, Feedback, Progress, Run, Status, new_run_id, succeed
from matinee.runtime.execute import RuntimeBinding, execute
from matinee.testing.store_contract_runs import claim_next

ECHO = {"name": "echo", "parameters": {"type": "object", "properties": {"text": {}}}, "result": {}}


class Launcher:
    """Its permissions have tests of their own, with the templates."""

    def __init__(self):
        self.slots = []

    def launch(self, slot):
        self.slots.append(slot)
        return "task"

    def status(self, slots):
        return {slot.token: LaunchStatus(ended=False) for slot in slots}

    def stop(self, slot):
        pass


def echo(text: str) -> str:
    return text


def inside(account, name):
    """What user code reaches in a process of this predictor."""
    return RuntimeBinding(account.settings, Context(new_run_id(), "ada", "v1", 1, time.time() + 60, name))


def a_run():
    now = time.time()
    return Run(new_run_id(), "price", "realtime", "eve", Status.SUCCEEDED, {"n": 1}, now, finished_at=now)


def denied(action, call):
    with pytest.raises(BackendError, match=f"{action} is not allowed") as raised:
        call()
    assert action in raised.value.hint


class TestFunction:
    """A realtime predictor that calls nobody."""

    def test_it_uses_the_shared_state(self, account, acting_as):
        acting_as("price")
        mine = inside(account, "price")
        for key in ("seen", "", "RUN#1", "ü🎭"):
            mine.state_set(key, {"n": 1})
            assert mine.state_get(key) == {"n": 1}
        mine.state_set("seen", None)
        assert [mine.state_increment("seen", 1) for _ in range(2)] == [1, 2]
        assert mine.state_increment("seen", 0.5) == 2.5
        assert mine.state_swap("seen", 2.5, "new")
        assert not mine.state_swap("seen", 2.5, "newer")

    def test_it_reads_what_it_is_given_and_writes_its_result(self, account, acting_as):
        with account.acting_as("matinee-shop-dev-ui") as ui:
            ui.files.put("inputs/price/R1.json", b'{"text": "large"}')
            ui.files.put("inputs/plan/R2.json", b'{"text": "of another predictor"}')
            ui.files.put("uploads/ada/photo.png", b"png")
        files = acting_as("price").files
        assert execute(echo, ECHO, {"$payload": "inputs/price/R1.json"}, files) == "large"
        assert files.read("uploads/ada/photo.png") == b"png"
        assert files.put("results/R1/1.json", bytes(PART_BYTES + 1)) == PART_BYTES + 1
        with pytest.raises(NotFoundError, match="There is no file"):
            files.read("uploads/not there")
        denied("s3:GetObject", lambda: files.read("inputs/plan/R2.json"))

    @pytest.mark.parametrize(
        ("action", "call"),
        [
            ("dynamodb:GetItem", lambda store: store.run("R1")),
            ("dynamodb:Query", lambda store: store.runs(RunQuery(user="eve"))),
            ("dynamodb:GetItem", lambda store: store.document("user", "eve")),
            ("dynamodb:Query", lambda store: store.documents("token")),
            ("dynamodb:PutItem", lambda store: store.put_document("user", "eve", {"owner": True})),
            ("dynamodb:PutItem", lambda store: store.record(a_run())),
            ("dynamodb:Query", lambda store: store.entries("plan")),
            ("dynamodb:PutItem", lambda store: store.put_feedback(Feedback("R1", "eve", 1))),
            ("dynamodb:GetItem", lambda store: store.release()),
        ],
        ids=["run", "runs", "user", "tokens", "put user", "record", "queue", "feedback", "release"],
    )
    def test_it_sees_and_changes_nobodys_runs_users_or_release(self, acting_as, action, call):
        denied(action, lambda: call(acting_as("price").store))

    def test_its_files_end_at_its_prefixes(self, acting_as):
        files = acting_as("price").files
        denied("s3:PutObject", lambda: files.put("uploads/eve/photo.png", b"other"))
        denied("s3:PutObject", lambda: files.put("edge/sleeping.html", b"<html>"))
        denied("s3:GetObject", lambda: files.read("deploy/template.json"))
        denied("s3:DeleteObject", lambda: files.delete(["uploads/ada/photo.png"]))
        denied("s3:ListBucket", lambda: list(files.list("")))


class TestFunctionThatCalls:
    def test_it_calls_another_and_records_that_run(self, account, acting_as):
        acting_as("advise")
        mine = inside(account, "advise")
        assert mine.call("price", {"n": 1}) == 42
        assert mine.map("price", [{"n": n} for n in range(3)]) == [42] * 3
        (nested, *_) = account.root.runs(RunQuery(user="ada", include_nested=True, limit=1))
        assert (nested.predictor, nested.parent, nested.result) == ("price", mine.context.run_id, 42)
        assert mine.call("price", {"n": "x100000"}) == "x" * 100_000, "through Files"
        mine.state_set("seen", 1)
        denied("dynamodb:GetItem", lambda: acting_as("advise").store.document("user", "eve"))
        denied("dynamodb:PutItem", lambda: acting_as("advise").store.put_release(account.root.release()))

    def test_it_submits_a_batch_run_if_it_says_so(self, account, acting_as):
        acting_as("order")
        run_id = inside(account, "order").submit("plan", {"n": 1})
        assert account.root.run(run_id).status is Status.QUEUED


class TestWorkerAndDispatcher:
    def test_a_run_from_dispatch_to_its_end(self, account, acting_as):
        with account.acting_as("matinee-shop-dev-ui") as ui:
            run = Client(ui, account.settings, "ada").submit("plan", {"n": 1})
        launcher = Launcher()
        dispatcher = acting_as("matinee-dispatcher").store
        dispatch(dispatcher, launcher, "plan", max_workers=1, version="h", now=time.time())
        (slot,) = launcher.slots
        worker = acting_as("plan-worker")
        store = worker.store
        assert renew_slot(store, slot, now=time.time())
        while True:
            claimed = claim_next(store, slot.token, time.time())
            if claimed is None:
                break
            running, entry = claimed
            renew_slot(store, slot, now=time.time())
            store.heartbeat(entry, visible_at=time.time() + LEASE_S, progress=Progress(0.5))
            worker.files.put(f"results/{running.id}/1.json", b"42")
            assert inside(account, "plan").call("price", {"n": 1}) == 42
            finish(store, running, lambda run, entry: succeed(run, result=42, now=time.time()))
        assert leave_unless_due(store, slot, time.time())
        assert store.release().number == 1
        assert account.root.run(run.id).result == 42

    @pytest.mark.parametrize("role", ["plan-worker", "order"], ids=["a worker", "a function that submits"])
    @pytest.mark.parametrize(
        ("action", "call"),
        [
            ("dynamodb:GetItem", lambda store, release: store.document("user", "eve")),
            ("dynamodb:Query", lambda store, release: store.documents("token")),
            ("dynamodb:PutItem", lambda store, release: store.put_document("user", "eve", {"owner": True})),
            ("dynamodb:PutItem", lambda store, release: store.put_release(release)),
            ("dynamodb:Query", lambda store, release: store.entries("other")),
            ("dynamodb:UpdateItem", lambda store, release: store.note("other", "x")),
            ("dynamodb:Query", lambda store, release: store.runs(RunQuery(user="eve"))),
        ],
        ids=["user", "tokens", "put user", "put release", "another queue", "another pool", "lists of runs"],
    )
    def test_it_owns_nothing_of_the_app_but_its_queue_and_runs(self, account, acting_as, role, action, call):
        denied(action, lambda: call(acting_as(role).store, account.root.release()))

    def test_a_worker_deletes_no_files_and_changes_no_uploads(self, acting_as):
        files = acting_as("plan-worker").files
        denied("s3:DeleteObject", lambda: files.delete(["results/R1/1.json"]))
        denied("s3:PutObject", lambda: files.put("uploads/eve/photo.png", b"other"))


class TestUi:
    def test_all_that_people_do_on_the_pages(self, account, acting_as):
        client = Client(acting_as("ui"), account.settings, "ada")
        assert client.release().number == 1
        run = client.predict("price", {"n": 1})
        assert client.result(run) == 42
        client.feedback(run.id, 1, "good")
        client.share(run.id)
        assert client.is_shared(run.id)
        assert client.logs(run.id) == []
        waiting = client.submit("plan", {"n": 1})
        assert client.queue_position(waiting) is not None
        assert client.why_waiting(waiting) == ""
        assert client.entry(waiting).progress == Progress()
        client.cancel(waiting.id)
        assert [one.id for one in client.runs(RunQuery(user="ada", limit=2))] == [waiting.id, run.id]
        stored = client.upload(b"x" * 2_000_000, "image/png", "photo.png")
        assert client.read_blob(stored) == b"x" * 2_000_000
        client.backend.store.put_document("user", "ada", {"owner": False})
        assert set(client.backend.store.documents("user")) == {"ada"}

    def test_what_is_not_the_apps_it_does_not_reach(self, acting_as):
        files = acting_as("ui").files
        denied("s3:PutObject", lambda: files.put("deploy/template.json", b"{}"))
        denied("s3:DeleteObject", lambda: files.delete(["results/R1/1.json"]))


def test_what_is_denied_is_told_to_the_predictors_caller_by_its_permission(account, acting_as):
    acting_as("price")
    with pytest.raises((BackendError, PredictionError), match="dynamodb:GetItem is not allowed"):
        inside(account, "price").call("price", {"n": 1})


class TestLaptop:
    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "matinee.toml").write_text('name = "shop"\ncomponents = ["price.py"]\n')
        (tmp_path / "price.py").write_text("from matinee import realtime\n")
        return tmp_path

    def test_who_assumed_a_role_is_known_by_the_name_of_the_session(self, acting_as, folder):
        acting_as("ui")
        with matinee.connect(folder, stage="dev") as app:
            assert (app.client.user, app.client.owner) == ("test", True)

    def test_a_missing_permission_is_named_with_what_it_is_for(self, acting_as, folder):
        acting_as("price")
        with pytest.raises(BackendError) as raised:
            matinee.connect(folder, stage="dev")
        said = "The table matinee-shop-dev may not be used: dynamodb:GetItem is not allowed."
        assert raised.value.message == said
        table = "arn:aws:dynamodb:eu-central-1:000000000000:table/matinee-shop-dev"
        assert raised.value.hint == f"Allow dynamodb:GetItem on {table}."
