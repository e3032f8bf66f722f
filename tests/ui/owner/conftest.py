"""Pages on a real store in a temporary folder, for an owner or a user; the pages the owner wrote are real files."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from matinee.backends.factory import Backend
from matinee.backends.local.files import FolderFiles
from matinee.backends.local.store import SqliteStore
from matinee.client import core
from matinee.client.core import Client
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources
from matinee.project.sections import Notices, Page, Ui, ui_details
from matinee.runs import Run, Status, new_run_id
from matinee.settings import Settings
from matinee.ui import session
from matinee.ui.pages import insights


def predictor(name: str, kind: str) -> PredictorManifest:
    text = {"type": "string"}
    schema = {"type": "object", "properties": {"name": text}, "required": ["name"], "additionalProperties": False}
    return PredictorManifest(name, kind, name, f"Do {name}.", schema, text, Resources())  # type: ignore[arg-type]


@dataclass
class World:
    """One app: `who` looks at its pages."""

    folder: Path
    store: SqliteStore
    backend: Backend
    who: tuple[str, bool] = ("ana", True)

    def client(self) -> Client:
        return Client(self.backend, Settings(), self.who[0], owner=self.who[1])

    def release(self, ui: Ui | None = None, notices: Notices | None = None) -> None:
        components = [ComponentManifest(p.name, "h", "v1", (p,)) for p in (GREET, PLAN)]
        details = {"ui": ui_details(ui or Ui(), self.folder), "notices": asdict(notices or Notices())}
        self.store.put_release(Release("tiny", "Tiny", 1, 0.0, tuple(components), details))
        self.backend.poll.forget()
        session.poll.forget()

    def page(self, name: str, source: str, **more: Any) -> Page:
        (self.folder / name).write_text(textwrap.dedent(source))
        stem = name.removesuffix(".py")
        return Page(name, more.pop("title", stem.capitalize()), more.get("replaces") or stem, **more)

    def ran(self, at: float, **changes: Any) -> Run:
        run = Run(new_run_id(at), "greet", "realtime", "bo", Status.SUCCEEDED, {"name": "Ada"}, at, "v1", result="Hi")
        run = replace(run, started_at=at, finished_at=at + 0.25, **changes)
        self.store.record(run)
        return run


GREET, PLAN = predictor("greet", "realtime"), predictor("plan", "batch")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    store = SqliteStore(tmp_path / ".matinee" / "state.db")
    files = FolderFiles(tmp_path / ".matinee" / "files")

    class Quiet:
        def poke(self, *_: Any) -> None:
            pass

    world = World(tmp_path, store, Backend(store, files, Quiet(), None))  # type: ignore[arg-type]
    monkeypatch.setenv("MATINEE_DATA", str(tmp_path / ".matinee"))
    monkeypatch.setattr(session, "client", world.client)
    monkeypatch.setattr("matinee.ui.app.draw_sidebar", lambda: None)
    insights._insights.cache_clear()
    world.release()
    yield world
    core.provide(None)
    session.poll.forget()
    store.close()


def _script() -> None:
    from matinee.ui.app import main

    main()


@pytest.fixture
def open_page(world: World) -> Callable[..., AppTest]:
    """Open the page at an address in Streamlit's own harness."""

    def opened(path: str = "", **query: str) -> AppTest:
        page = AppTest.from_function(_script, default_timeout=30)
        for name, value in query.items():
            page.query_params[name] = value
        if path:
            page._page_hash = calc_hash(path)
        page.run()
        assert not page.exception, page.exception
        return page

    return opened


@pytest.fixture
def shown() -> Callable[[AppTest], str]:
    """Return all texts on a page, as a person reads them."""

    def read(page: AppTest) -> str:
        kinds = (page.title, page.header, page.subheader, page.markdown, page.caption, page.error, page.info, page.code)
        said = [str(element.value) for kind in (*kinds, page.success) for element in kind]
        return "\n".join([*said, *(f"{m.label} {m.value}" for m in page.metric)]).replace("\\", "")

    return read
