"""One batch run on what has just gone live; if it fails, what was live before is live again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pretending import Pretend

from matinee.deploy import current_state, publish, registry
from matinee.deploy.cloud import Cloud, Note, Tried
from matinee.deploy.destroy import destroy
from matinee.deploy.pipeline import deploy
from matinee.deploy.plan import DeployOptions
from matinee.errors import BackendError, ConflictError
from matinee.ports import RunQuery
from matinee.queue.claims import finish
from matinee.runs import Failure, Status, fail, succeed
from matinee.testing.store_contract_runs import claim_next

EXAMPLE = ', examples=[{"n": 1}]'


def works(result: int | None = None, why: str = "") -> Callable[[Cloud, str], None]:
    """Return a worker that answers the next run with a result, or fails it."""

    def work(cloud: Cloud, predictor: str) -> None:
        store = current_state.no_release(cloud).store
        run, _ = claim_next(store, "worker", time.time(), predictor=predictor)
        failure = Failure("exception", why, "", "")
        if why:
            finish(store, run, lambda r, e: fail(r, e, failure=failure, now=time.time(), retries=0, delay_s=0))
        else:
            finish(store, run, lambda r, _: succeed(r, result=result, now=time.time()))

    return work


def test_a_new_batch_predictor_runs_its_example_once(app: Callable[..., Path], cloud: Cloud, pretend: Pretend) -> None:
    pretend.worker = works(2)
    told: list[object] = []
    done = deploy(app(more=EXAMPLE), DeployOptions(), pretend.tools, told.append)
    assert done.release == 1
    assert [(e.predictor, e.problem) for e in told if isinstance(e, Tried)] == [("hello", ""), ("count", "")]
    told.clear()
    deploy(app(word="Hi", more=EXAMPLE), DeployOptions(), pretend.tools, told.append)
    assert [e.predictor for e in told if isinstance(e, Tried)] == ["hello"], "count did not change"


def test_one_that_fails_is_taken_back(app: Callable[..., Path], cloud: Cloud, pretend: Pretend) -> None:
    pretend.worker = works(2)
    deploy(app(more=EXAMPLE), DeployOptions(), pretend.tools)
    pretend.worker = works(why="no such column")
    with pytest.raises(BackendError) as raised:
        deploy(app(word="Hi", plus=2, more=EXAMPLE), DeployOptions(), pretend.tools)
    assert raised.value.message.startswith("count fails its first example on AWS: no such column")
    assert raised.value.message.endswith("What was live before is live again.")
    found = current_state.read_release(cloud)
    assert found.number == 3
    assert {c.name: c.label for c in found.release.components} == {"hello": "v1", "count": "v1"}
    assert found.history.releases[-1].note == "release 2 taken back"
    alias = cloud.call("lambda", "get_alias", FunctionName=cloud.names.resource("hello"), Name="live")
    assert alias["FunctionVersion"] == "1"
    pretend.worker = works(3)
    done = deploy(app(word="Hi", plus=2, more=EXAMPLE), DeployOptions(), pretend.tools)
    assert (done.release, done.versions) == (4, {"hello": "v2", "count": "v2"})


def test_a_first_one_that_fails_is_said_to_be_live(app: Callable[..., Path], cloud: Cloud, pretend: Pretend) -> None:
    pretend.worker = works(why="no such column")
    with pytest.raises(BackendError, match="The app is live, but count fails its first example on AWS: no such column"):
        deploy(app(more=EXAMPLE), DeployOptions(), pretend.tools)
    assert current_state.read_release(cloud).number == 1


def test_nothing_of_before_a_destruction_is_made_live_again(
    app: Callable[..., Path], cloud: Cloud, pretend: Pretend
) -> None:
    pretend.worker = works(2)
    deploy(app(more=EXAMPLE), DeployOptions(), pretend.tools)
    destroy(app(more=EXAMPLE), "dev", pretend.tools)
    pretend.worker = works(why="no such column")
    with pytest.raises(BackendError, match="The app is live, but count fails its first example on AWS: no such column"):
        deploy(app(more=EXAMPLE), DeployOptions(), pretend.tools)
    assert current_state.read_release(cloud).number == 2


def test_a_run_that_no_worker_takes_says_why(
    app: Callable[..., Path], cloud: Cloud, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "START_S", 0.3)
    monkeypatch.setattr(publish, "LONGEST_SMOKE_S", 0.0)

    def refuse(cloud: Cloud, predictor: str) -> None:
        current_state.no_release(cloud).store.note(predictor, "AWS has no Fargate capacity at the moment.")

    pretend.worker = refuse
    with pytest.raises(BackendError, match="AWS has no Fargate capacity at the moment"):
        deploy(app(more=EXAMPLE), DeployOptions(), pretend.tools)


def test_no_test_tries_nothing(app: Callable[..., Path], cloud: Cloud, pretend: Pretend) -> None:
    told: list[object] = []
    deploy(app(more=EXAMPLE), DeployOptions(tries=False), pretend.tools, told.append)
    assert not [event for event in told if isinstance(event, (Tried, Note)) and "example" in str(event)]
    assert pretend.calls == []


def test_two_deployments_at_once_do_not_make_one_of_both(
    app: Callable[..., Path], cloud: Cloud, pretend: Pretend
) -> None:
    deploy(app(), DeployOptions(), pretend.tools)
    folder = app(word="Hi")
    others: list[int] = []

    def another(event: object) -> None:
        if isinstance(event, Tried) and not others:  # the slower one is about to go live, and another is faster
            others.append(deploy(folder, DeployOptions(), pretend.tools).release)

    with pytest.raises(ConflictError, match="Another deployment went live while release 2 was made"):
        deploy(folder, DeployOptions(), pretend.tools, another)
    assert others == [2]
    assert current_state.read_release(cloud).number == 2
    alias = cloud.call("lambda", "get_alias", FunctionName=cloud.names.resource("hello"), Name="live")
    assert alias["FunctionVersion"] == "2"


def test_images_of_the_last_twenty_releases_are_kept(
    app: Callable[..., Path], cloud: Cloud, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_state, "KEPT_RELEASES", 2)
    for word in ("Hello", "Hi", "Hey", "Yo"):
        deploy(app(word=word), DeployOptions(), pretend.tools)
    kept = registry.images(cloud)
    assert len([tag for tag in kept if tag.startswith("hello-")]) == 2
    assert {image.digest for image in kept.values()} == current_state.needed_images(
        current_state.read_history(current_state.read_release(cloud).store)
    )


def test_the_run_is_of_nobody_else_and_there_to_be_read(
    app: Callable[..., Path], cloud: Cloud, pretend: Pretend
) -> None:
    pretend.worker = works(2)
    deploy(app(more=EXAMPLE), DeployOptions(), pretend.tools)
    (run,) = current_state.read_release(cloud).store.runs(RunQuery(predictor="count"))
    assert (run.user, run.status, run.inputs) == ("deploy", Status.SUCCEEDED, {"n": 1})
