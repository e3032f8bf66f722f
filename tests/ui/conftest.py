"""An app in memory for the pages: a client as they know it, with predictors made of plain schemas."""

from __future__ import annotations

import base64
import html
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from matinee.access.people import LOCAL, Person
from matinee.client import core
from matinee.errors import ConflictError, NotFoundError
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources, Trouble
from matinee.ports import LogLine, RunQuery
from matinee.runs import Entry, Failure, Feedback, Progress, Run, Scale, Status, first_run_id, new_run_id
from matinee.settings import Settings
from matinee.ui import session
from matinee.values import validate

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def object_schema(required: tuple[str, ...] = (), **properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def predictor(
    name: str, parameters: dict[str, Any], kind: str = "realtime", result: dict[str, Any] | None = None, **more: Any
) -> PredictorManifest:
    doc = more.pop("doc", "What shall I do right now?")
    return PredictorManifest(name, kind, name, doc, parameters, result or {}, Resources(), **more)  # type: ignore[arg-type]


GENDER = {"enum": ["male", "female", "undisclosed"], "type": "string"}
RECOMMEND = predictor(
    "recommend",
    object_schema(("gender",), gender=GENDER, past_activity={"type": "string", "default": ""}),
    examples=({"gender": "female", "past_activity": "swimming"},),
)
PLAN = predictor(
    "plan",
    object_schema(
        ("gender", "start", "end"),
        gender=GENDER,
        start={"type": "string", "format": "date"},
        end={"type": "string", "format": "date", "x-after": "start"},
    ),
    kind="batch",
    result={"x-matinee": "table"},
    doc="Plan my days.",
)


class Documents(dict[tuple[str, str], Any]):
    """The part of a store that keeps the app's own small documents."""

    def document(self, kind: str, key: str) -> Any:
        return self.get((kind, key))

    def documents(self, kind: str) -> dict[str, Any]:
        return {key: value for (of, key), value in self.items() if of == kind}

    def put_document(self, kind: str, key: str, value: Any) -> None:
        self.pop((kind, key), None)
        if value is not None:
            self[kind, key] = value

    def swap_document(self, kind: str, key: str, old: Any, new: Any) -> bool:
        is_so = self.get((kind, key)) == old
        if is_so:
            self.put_document(kind, key, new)
        return is_so


@dataclass
class FakeClient:
    """`answers` maps a predictor to its result, or to the Failure its runs end with."""

    current: Release | None
    answers: dict[str, Any] = field(default_factory=dict)
    user: str = "local"
    owner: bool = True
    stored: dict[str, Run] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    said: list[Feedback] = field(default_factory=list)
    shared: set[str] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)  # runs of others
    backend: Any = field(default_factory=lambda: SimpleNamespace(store=Documents()))
    clock: Callable[[], float] = time.time
    settings: Settings = field(default_factory=Settings)

    def release(self) -> Release:
        if self.current is None:
            raise NotFoundError("Nothing is live yet.")
        return self.current

    def _manifest(self, name: str) -> PredictorManifest:
        found = self.release().predictor(name)
        assert found is not None
        return found

    def predict(self, name: str, inputs: Any, *, parent: str = "") -> Run:
        checked = validate.check(self._manifest(name).parameters, inputs)
        now = time.time()
        answer = self.answers.get(name)
        run = Run(new_run_id(now), name, "realtime", self.user, Status.SUCCEEDED, checked, now, "v1", result=answer)
        run = replace(run, started_at=now - 0.25, finished_at=now)
        if isinstance(answer, Failure):
            run = replace(run, status=Status.FAILED, failure=answer, result=None)
        self.stored[run.id] = run
        return run

    def submit(self, name: str, inputs: Any, *, idempotency_key: str = "", parent: str = "") -> Run:
        checked = validate.check(self._manifest(name).parameters, inputs)
        now = time.time()
        run = Run(new_run_id(now), name, "batch", self.user, Status.QUEUED, checked, now)
        self.stored[run.id] = run
        self.entries[run.id] = Entry(name, run.id, self.user, 1, now)
        return run

    def begin(self, run_id: str, fraction: float, message: str = "") -> None:
        self.stored[run_id] = replace(self.stored[run_id], status=Status.RUNNING, started_at=time.time())
        self.entries[run_id] = replace(self.entries[run_id], owner="w", progress=Progress(fraction, message))
        session.poll.forget()

    def finish(self, run_id: str, result: Any) -> None:
        run = self.stored[run_id]
        self.stored[run_id] = replace(run, status=Status.SUCCEEDED, result=result, finished_at=time.time())
        self.entries.pop(run_id, None)
        session.poll.forget()

    def run(self, run_id: str) -> Run:
        if run_id not in self.stored or run_id in self.hidden:
            raise NotFoundError(f"There is no run {run_id!r}.", hint="Look in History.")
        return self.stored[run_id]

    def runs(self, query: RunQuery) -> list[Run]:
        wanted = [
            run
            for run in sorted(self.stored.values(), key=lambda run: run.id, reverse=True)
            if (query.predictor is None or run.predictor == query.predictor)
            and (query.user is None or run.user == query.user)
            and (not query.statuses or run.status in query.statuses)
            and (query.since is None or run.id >= first_run_id(query.since))
            and (query.until is None or run.id < first_run_id(query.until))
            and (not query.before or run.id < query.before)
        ]
        return wanted[: query.limit]

    def entry(self, run: Run) -> Entry | None:
        return self.entries.get(run.id)

    def queue_position(self, run: Run) -> int | None:
        return 0

    def why_waiting(self, run: Run) -> str:
        return ""

    def inputs(self, run: Run) -> Any:
        return run.inputs

    def result(self, run: Run) -> Any:
        return run.result

    def read_blob(self, blob: Any) -> bytes:
        return base64.b64decode(blob["base64"])

    def upload(self, data: bytes, media_type: str, name: str) -> Any:
        return {"$blob": media_type, "name": name, "base64": base64.b64encode(data).decode()}

    def share(self, run_id: str) -> None:
        self.shared.add(run_id)

    def unshare(self, run_id: str) -> None:
        self.shared.discard(run_id)

    def is_shared(self, run_id: str) -> bool:
        return run_id in self.shared

    def cancel(self, run_id: str) -> Run:
        run = self.run(run_id)
        if run.status.is_final:
            raise ConflictError(f"Run {run_id} is {run.status}.")
        self.stored[run_id] = replace(run, status=Status.CANCELLED, finished_at=time.time())
        return self.stored[run_id]

    def feedback(
        self,
        run_id: str,
        rating: int | None = None,
        comment: str = "",
        corrected: Any = None,
        *,
        scale: Scale = "thumbs",
    ) -> Feedback:
        self.said.append(Feedback(run_id, self.user, rating, comment, corrected, time.time(), scale))
        return self.said[-1]

    def feedback_of(self, run_id: str) -> list[Feedback]:
        return [said for said in self.said if said.run_id == run_id][-1:]

    def logs(self, run_id: str) -> list[LogLine]:
        return [LogLine(0.0, "INFO", "planning", run_id=run_id)]


def release_of(*predictors: PredictorManifest, trouble: Trouble | None = None) -> Release:
    components = tuple(ComponentManifest(p.name, "hash", "v1", (p,)) for p in predictors)
    broken = (ComponentManifest("broken", "hash", trouble=trouble),) if trouble else ()
    return Release("activity", "Activity Recommender", 1, 0.0, components + broken)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeClient]:
    """The client all pages of this process get, with `recommend` and `plan`."""
    client = FakeClient(release_of(RECOMMEND, PLAN))
    client.answers["recommend"] = {"activity": "swimming", "candidates": ["swimming", "baseball"]}
    monkeypatch.setattr(session, "client", lambda user="local": client)
    session.poll.forget()
    yield client
    core.provide(None)
    session.poll.forget()


@dataclass
class ShutGate:
    """The gate of an app with sign-in, through which this one person has come."""

    who: Person = LOCAL
    is_open: bool = False

    def person(self, cookies: object) -> Person:
        return self.who


@pytest.fixture
def signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an app with sign-in: sharing, tokens and other people mean something."""
    monkeypatch.setattr(session, "gate", ShutGate)


@pytest.fixture
def fault_is_expected() -> None:
    """A test of what a page says when it breaks down."""


@pytest.fixture(autouse=True)
def no_fault(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No page of a test breaks down unseen: a person reads a sentence, and the log has the traceback."""
    yield
    if "fault_is_expected" not in request.fixturenames:
        assert "A page could not be drawn" not in caplog.text


def _script() -> None:
    from matinee.ui.app import main

    main()


def _opened(path: str = "", **query: str) -> AppTest:
    page = AppTest.from_function(_script, default_timeout=30)
    for name, value in query.items():
        page.query_params[name] = value
    if path:
        page._page_hash = calc_hash(path)  # what a browser sends for this address
    page.run()
    assert not page.exception, page.exception
    return page


@pytest.fixture
def open_page(fake: FakeClient) -> Callable[..., AppTest]:
    """Open the page at an address (`open_page("run", id="…")`) in Streamlit's own harness."""
    return _opened


@pytest.fixture
def shown() -> Callable[[AppTest], str]:
    """Return all texts on a page, as a person reads them."""

    def read(page: AppTest) -> str:
        kinds = (
            page.title,
            page.header,
            page.subheader,
            page.markdown,
            page.caption,
            page.error,
            page.info,
            page.text,
            page.code,
        )
        texts = [str(element.value) for kind in kinds for element in kind]
        tables = [e.proto.body for e in page.get("html") if "<table" in e.proto.body]
        cells = [html.unescape(re.sub("<[^>]*>", "|", table)) for table in tables]
        return "\n".join([*texts, *cells]).replace("\\", "")

    return read


@pytest.fixture
def answer(fake: FakeClient, open_page: Callable[..., AppTest]) -> Callable[..., AppTest]:
    """Open the page of a predictor made for the purpose: `answer(field_schema, example=…, result=…)`."""

    def open_(schema: dict[str, Any], *, example: Any = None, result: Any = None, required: bool = True) -> AppTest:
        examples = () if example is None else ({"value": example},)
        parameters = object_schema(("value",) if required else (), value=schema)
        fake.current = release_of(predictor("probe", parameters, examples=examples))
        fake.answers["probe"] = result
        session.poll.forget()
        page = open_page()
        if examples:
            page.button(key="example:probe:0").click().run()
        return page

    return open_


@pytest.fixture
def send(fake: FakeClient) -> Callable[[AppTest], Any]:
    """Press the button of the probe's form and return the inputs that arrived."""

    def press(page: AppTest) -> Any:
        page.button(key="go:probe").click().run()
        assert not page.exception, page.exception
        assert fake.stored, [m.value for m in page.markdown]
        return max(fake.stored.items())[1].inputs["value"]

    return press
