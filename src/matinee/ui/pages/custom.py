"""A page the owner of the app wrote."""

from __future__ import annotations

import importlib
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType

import streamlit as st

from matinee.errors import MatineeError
from matinee.ui import session
from matinee.ui.site import Look, OwnPage
from matinee.ui.text import escaped, show_error

LOOK_S = 1.0  # how soon what was saved is shown


def draw_custom(page: OwnPage, look: Look) -> None:
    """Draw the page. What fails is said here, to the owner with the place; other pages are not concerned."""
    try:
        run_page(page.file, look.folder)
    except PageError as error:
        _failed(error, page)
    if session.client().owner:
        st.fragment(_follow, run_every=LOOK_S)(page, look)


def _failed(error: PageError, page: OwnPage) -> None:
    if isinstance(error.__cause__, MatineeError):
        show_error(error.__cause__)
        return
    if not session.client().owner:
        st.error("This page does not work at the moment. The owner of the app can see why.", icon=":material/error:")
        return
    st.error(escaped(f"{page.file.name}: {error}"), icon=":material/error:")
    st.code(error.text, language=None, wrap_lines=True)
    st.caption("Only the owner sees this. Save the file to try again; the other pages keep working.")


def _follow(page: OwnPage, look: Look) -> None:
    """Draw the page again when its owner has saved it."""
    saved = saved_at(page.file, look.folder)
    key = f"saved:{page.path}"
    if st.session_state.setdefault(key, saved) != saved:
        st.session_state[key] = saved
        st.rerun()


# --- the About page ---------------------------------------------------------------------------------------------------
# The app's README as its page "About"; pictures it has beside it are shown.

_PICTURE = re.compile(r"^!\[([^\]]*)\]\(([^)\s]+)\)\s*$", re.MULTILINE)
LARGEST = 200_000  # characters


def draw_about(look: Look) -> None:
    """Draw the page."""
    try:
        text = look.about.read_text("utf-8", errors="replace")[:LARGEST] if look.about else ""
    except OSError:
        text = ""
    if not text.strip():
        st.info("There is nothing to read here yet.", icon=":material/info:")
        return
    for part in parts(text, look.folder):
        if isinstance(part, Path):
            st.image(str(part))
        else:
            st.markdown(part)


def parts(text: str, folder: Path) -> Iterator[str | Path]:
    """Yield Markdown, and in between the pictures of the app's own folder: a browser could not ask for these."""
    end = 0
    for match in _PICTURE.finditer(text):
        picture = (folder / match[2]).resolve()
        if "://" not in match[2] and picture.is_relative_to(folder.resolve()) and picture.is_file():
            if before := text[end : match.start()].strip():
                yield before
            yield picture
            end = match.end()
    if rest := text[end:].strip():
        yield rest


# --- pages of the owner -----------------------------------------------------------------------------------------------
# Runs a page the owner wrote: read anew when it was saved, its mistakes shown on itself alone.

log = logging.getLogger(__name__)

_lock = threading.Lock()
_compiled: dict[Path, tuple[int, CodeType]] = {}
_saved: dict[Path, int] = {}  # app folder -> when the newest of its modules was saved


class PageError(Exception):
    """A page failed. `text` is the end of the traceback, from the page's own lines on."""

    def __init__(self, error: BaseException, text: str) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.text = text


def run_page(file: Path, folder: Path) -> None:
    """Run the page's script; PageError for whatever it raises, or when it cannot be read."""
    try:
        code = _code(file)
        _forget_saved(folder)
    except (OSError, SyntaxError, ValueError) as error:
        raise PageError(error, "".join(traceback.format_exception_only(error))) from error
    with _importing_from(folder):
        try:
            exec(code, {"__name__": "__main__", "__file__": str(file), "__builtins__": __builtins__})  # noqa: S102
        except Exception as error:  # what goes wrong on one page is that page's alone
            log.warning("The page %s failed: %r", file.name, error)
            raise PageError(error, _own_lines(error, file)) from error


def saved_at(file: Path, folder: Path) -> int:
    """Return when the page or a module beside it was last saved, in ns; 0 if it is gone."""
    try:
        return max(file.stat().st_mtime_ns, _newest(folder))
    except OSError:
        return 0


def _code(file: Path) -> CodeType:
    stamp = file.stat().st_mtime_ns
    with _lock:
        known = _compiled.get(file)
        if known is None or known[0] != stamp:
            known = _compiled[file] = (stamp, compile(file.read_bytes(), str(file), "exec"))
        return known[1]


def _own_lines(error: BaseException, file: Path) -> str:
    """The traceback without our own frames before the page's."""
    shown = traceback.TracebackException.from_exception(error)
    first = next((i for i, frame in enumerate(shown.stack) if frame.filename == str(file)), 0)
    shown.stack = traceback.StackSummary.from_list(list(shown.stack)[first:])
    return "".join(shown.format(chain=False))


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Let pages import modules beside them. Last in the search: none of them stands before a library."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        importlib.invalidate_caches()
    yield


def _modules(folder: Path) -> dict[str, Path]:
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    return {name: Path(file) for name, file in files.items() if file and Path(file).is_relative_to(folder)}


def _newest(folder: Path) -> int:
    return max((path.stat().st_mtime_ns for path in _modules(folder).values() if path.exists()), default=0)


def _forget_saved(folder: Path) -> None:
    """Have the modules beside a page imported anew once one of them was saved."""
    with _lock:
        newest = _newest(folder)
        if newest > _saved.setdefault(folder, newest):
            for name in _modules(folder):
                del sys.modules[name]
            importlib.invalidate_caches()
        _saved[folder] = newest
