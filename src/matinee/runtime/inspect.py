"""`python -m matinee.runtime.inspect`: what a component declares, as the JSON of its ComponentManifest.

Runs in the component's own environment. What is wrong with the component comes back as `trouble`, never as a traceback.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from matinee import schedule, secrets
from matinee.errors import ComponentError, InputError, MatineeError, UsageError
from matinee.manifest import ComponentManifest, PredictorManifest, Resources, Trouble, plain_predictor
from matinee.own_paths import SNAPSHOTS, THE_FOLDER, hint_for_missing_file, snapshot_of
from matinee.predictors.declare import Declared, declared, handled
from matinee.runtime.execute import execute, load_component
from matinee.runtime.plain import find_handler
from matinee.settings import HANDLER, Settings
from matinee.values import blobs, encode, validate

# Where the package that has a module is called otherwise: the hint must name what can be installed.
_PACKAGES = {
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "yaml": "pyyaml",
    "skimage": "scikit-image",
    "bs4": "beautifulsoup4",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "osgeo": "gdal",
}

EXAMPLES = "--examples"  # also run the realtime predictors' examples
EXAMPLES_S = 10.0
LONGEST_NAME = 64  # https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
_FUNCTION_NAME = re.compile(rf"[A-Za-z0-9_]{{1,{LONGEST_NAME}}}")
_OURS = f"{SNAPSHOTS.partition('/')[0]}/"


def inspect_component(name: str, source: str, handler: str = "") -> ComponentManifest:
    """Return the component's manifest, with `trouble` if it cannot be inspected. `hash` is the caller's to fill in.

    `handler` names a plain Lambda handler ("main.handler"), which is imported as Lambda does; "" = predictors.
    """
    handled.clear()
    try:
        if handler:
            predictors = _plain_handler(name, handler)
        else:
            _check_name(source)
            functions = load_component(source)
            calls = tuple(dict.fromkeys(handled))
            predictors = tuple(_predictor(name, function, calls) for function in functions.values())
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a user's module may raise anything, SystemExit too
        return ComponentManifest(name=name, hash="", trouble=_trouble(error, source))
    return ComponentManifest(name=name, hash="", predictors=predictors)


def _plain_handler(component: str, name: str) -> tuple[PredictorManifest, ...]:
    handler = find_handler(name)
    doc = _doc(handler) if hasattr(handler, "__code__") else ""  # else it would be the docstring of its class
    return (plain_predictor(component, "handler", doc, tuple(dict.fromkeys(handled))),)


def _check_name(source: str) -> None:
    """Raise ComponentError for a component that hides a module of Python's own from everything that needs it."""
    path = Path(source)
    if path.stem in sys.stdlib_module_names:
        place = f"{path.name}/" if path.is_dir() else path.name
        raise ComponentError(
            f"{place} hides Python's own module {path.stem}.", hint="Give it another name.", file=str(path)
        )


def _check_function_name(function: Callable[..., Any]) -> None:
    """Raise ComponentError for a predictor whose name cannot be a Lambda function's."""
    if not _FUNCTION_NAME.fullmatch(function.__name__):
        code = function.__code__
        raise ComponentError(
            f"A predictor cannot be called {function.__name__}: a Lambda function of that name cannot exist.",
            hint=f"Rename it: at most {LONGEST_NAME} of the letters a to z and A to Z, digits and _.",
            file=code.co_filename,
            line=code.co_firstlineno,
        )


def _predictor(component: str, function: Callable[..., Any], calls: tuple[str, ...]) -> PredictorManifest:
    declared: Declared = function.__matinee__  # type: ignore[attr-defined]
    from matinee.values.describe import describe  # loads pydantic

    _check_function_name(function)
    parameters, result = describe(function)
    examples = tuple(_example(function, parameters, i, e) for i, e in enumerate(declared.examples, 1))
    _check_declared(function, declared, parameters, examples)
    return PredictorManifest(
        name=function.__name__,
        kind=declared.kind,
        component=component,
        doc=_doc(function),
        parameters=parameters,
        result=result,
        resources=Resources(**declared.resources),
        examples=examples,
        calls=calls,
    )


def _doc(function: Callable[..., Any]) -> str:
    from inspect import getdoc

    return getdoc(function) or ""


def _example(function: Callable[..., Any], parameters: dict[str, Any], number: int, example: Any) -> dict[str, Any]:
    try:
        value = encode.to_json(example, blobs.inline_small_blob)
        validate.check(parameters, value)
    except InputError as error:
        raise ComponentError(
            f"Example {number} of {function.__name__} does not fit its parameters: {error.message}.",
            hint=error.hint or "Mend the example or the annotation.",
            file=function.__code__.co_filename,
            line=function.__code__.co_firstlineno,
        ) from error
    return dict(value)


def _check_declared(
    function: Callable[..., Any], declared: Declared, parameters: dict[str, Any], examples: tuple[dict[str, Any], ...]
) -> None:
    try:
        schedule.check(declared.resources.get("schedule", ""), function.__name__, declared.kind, parameters, examples)
        secrets.check_declared(function.__name__, declared.resources["secrets"])
    except UsageError as error:
        code = function.__code__
        raise ComponentError(error.message, hint=error.hint, file=code.co_filename, line=code.co_firstlineno) from error


def _trouble(error: BaseException, source: str) -> Trouble:
    if isinstance(error, ComponentError):
        return Trouble(error.message, error.hint, error.file, error.line)
    if isinstance(error, SyntaxError):
        message = f"{Path(error.filename or source).name} has a syntax error: {error.msg}."
        return Trouble(
            message, "Mend the line; the other components keep working.", error.filename or "", error.lineno or 0
        )
    file, line = _place(error, source)
    if isinstance(error, MatineeError):
        return Trouble(error.message, error.hint, file, line)
    if isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.partition(".")[0]
        package = _PACKAGES.get(module, module)
        return Trouble(
            f"There is no module named {error.name} in the component's environment.", _header(package), file, line
        )
    reason = f"{type(error).__name__}: {error}".rstrip(": ")
    hint = _no_variable(error) or hint_for_missing_file(error) or "Run it with Python to see more."
    return Trouble(f"{Path(source).name} failed while it was imported: {reason}.", hint, file, line)


def _no_variable(error: BaseException) -> str:
    """Return what to do when `os.environ[NAME]` failed: secrets are there when a predictor runs, not now."""
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None:
        frames = frames.tb_next
    if not isinstance(error, KeyError) or frames is None or frames.tb_frame.f_globals is not vars(os):
        return ""
    return f"A secret is there when its predictor runs: read os.environ[{error}] inside the function that declares it."


def _header(package: str) -> str:
    return f'Add it to the dependencies in the file\'s header: `# dependencies = ["{package}"]`.'


def _place(error: BaseException, source: str) -> tuple[str, int]:
    """Return file and line of the innermost frame that is the component's own."""
    folder = f"{Path(source).resolve().parent}{os.sep}"
    place, frames = ("", 0), error.__traceback__
    while frames is not None:
        file = frames.tb_frame.f_code.co_filename
        if file.startswith(folder) and "site-packages" not in file:
            place = (file, frames.tb_lineno)
        frames = frames.tb_next
    return place


def watch_files(source: str) -> set[str]:
    """Return a set that fills with what is opened, listed or imported of the app's folder (names relative to it).

    THE_FOLDER is in it when the folder itself is listed: of that, only what belongs to the component is there.
    """
    app, snapshot = snapshot_of(os.path.abspath(source))  # noqa: PTH100 (a text, as the hook compares)
    found: set[str] = set()

    def add(path: str) -> None:
        for root in (snapshot, app):
            if path == root:
                found.add(THE_FOLDER)
                return
            if path.startswith(root + os.sep):
                name = path[len(root) + 1 :]
                if not name.startswith(_OURS) and os.path.exists(os.path.join(app, name)):  # noqa: PTH110, PTH118
                    found.add(name)
                return

    class MissingModules:
        """Comes last in the search: what gets here is in no folder that is searched, so it is never opened."""

        @staticmethod
        def find_spec(name: str, _path: object = None, _target: object = None) -> None:
            for ending in ("", ".py"):
                add(f"{snapshot}{os.sep}{name.replace('.', os.sep)}{ending}")

    if app:
        sys.addaudithook(lambda event, arguments: add(_path_read(event, arguments)))
        sys.meta_path.append(MissingModules)
    return found


def _path_read(event: str, arguments: tuple[Any, ...]) -> str:
    """Return the path of an audit event that reads a file or lists a folder, "" for all others."""
    reads = event == "sqlite3.connect" or (
        event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR))
    )
    lists = event in ("os.listdir", "os.scandir") and not _is_import_system(sys._getframe(2))
    if not (reads or lists) or not isinstance(arguments[0], str | bytes | os.PathLike):
        return ""
    return os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100


def _is_import_system(frame: FrameType) -> bool:
    """Whether a folder is listed to find a module: that alone makes nothing of it belong."""
    name = frame.f_code.co_filename
    return name.startswith("<frozen importlib") or f"{os.sep}importlib{os.sep}" in name


def _run_examples(source: str, manifest: ComponentManifest) -> None:
    """Call the realtime predictors with their examples, for what they open; how it ends does not matter here.

    What takes longer than EXAMPLES_S is left alone: it goes on in its thread until this process ends.
    """
    functions = {function.__name__: function for function in _declared_in(source)}

    def run() -> None:
        for predictor in manifest.predictors:
            for example in predictor.examples if predictor.kind == "realtime" else ():
                with contextlib.suppress(BaseException):
                    execute(functions[predictor.name], asdict(predictor), example, None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(EXAMPLES_S)


def _declared_in(source: str) -> list[Callable[..., Any]]:
    inside = f"{Path(source).resolve()}"
    return [f for f in declared if str(Path(f.__code__.co_filename).resolve()).startswith(inside)]


def main() -> None:
    """Print the manifest as the last line of the real stdout; what the user's code prints goes to stderr."""
    sys.stdout.flush()
    answer = os.dup(1)
    os.dup2(2, 1)
    settings = Settings.from_environment()
    opened = watch_files(str(settings.source))
    handler = os.environ.get(HANDLER, "")
    manifest = inspect_component(settings.component, str(settings.source), handler)
    if EXAMPLES in sys.argv and not handler:
        _run_examples(str(settings.source), manifest)
    found = {**asdict(manifest), **({"opened": sorted(opened)} if opened else {})}
    line = json.dumps(found, ensure_ascii=False) + "\n"
    sys.stdout.flush()
    sys.stderr.flush()
    with os.fdopen(answer, "w", encoding="utf-8") as stream:
        stream.write(line)
    os._exit(0)  # threads that the user's module left behind must not hold inspection up


if __name__ == "__main__":
    main()
