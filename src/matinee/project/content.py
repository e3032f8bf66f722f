"""What a component is made of: its files, what it imports and names of the app's folder, and its version by content.

source + shared + imports + files named in code or in `files = […]`, without what is ignored or looks like a secret
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
# Where each folder of the framework goes: into every image; into the UI's alone; nowhere, for it is the developer's.
# What is in components' images is in their versions, so a folder that is not decided here would change them all.
EVERYWHERE, UI_ONLY, NOWHERE = "everywhere", "ui", "nowhere"
FRAMEWORK = {
    "access": EVERYWHERE,
    "api": EVERYWHERE,
    "backends": EVERYWHERE,
    "cli": NOWHERE,
    "client": EVERYWHERE,
    "cost.py": NOWHERE,
    "deploy": NOWHERE,
    "environments": EVERYWHERE,
    "images": NOWHERE,
    "lambda_api": EVERYWHERE,
    "notices": EVERYWHERE,
    "operate": NOWHERE,
    "predictors": EVERYWHERE,
    "project": EVERYWHERE,
    "queue": EVERYWHERE,
    "rehearsal": NOWHERE,
    "rows": EVERYWHERE,
    "runtime": EVERYWHERE,
    "stack": NOWHERE,
    "tables": EVERYWHERE,
    "testing": NOWHERE,
    "ui": UI_ONLY,
    "values": EVERYWHERE,
    "worker": EVERYWHERE,
}
# Names under which secrets are kept by habit. https://github.com/github/gitignore has most of them, scattered.
_SECRET = re.compile(
    r"(?i)\.env(\..+)?|.+\.env|.+\.(pem|key|p12|pfx|jks|keystore|kdbx|ovpn)|id_(rsa|dsa|ecdsa|ed25519)|\.?netrc"
    r"|\.pypirc|\.npmrc|\.pgpass|credentials(\.json|\.csv)?|.*service[-_]?account.*\.json|secrets?\.(toml|ya?ml|json|txt)"
    r"|.*_credentials\.json|htpasswd"
)
_MAKES_PATHS = {"Path", "joinpath", "join", "listdir", "scandir", "walk", "glob", "iglob"}
_LONGEST_PATH = 200  # of a text in code that may name a file
SETTLED_NS = 100_000_000  # a file changed this recently may change again without a new time: it is read again


# --- the files of a component ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contents:
    """Files by their name relative to the app's folder, and why others of its folder are left out."""

    files: Mapping[str, Path]
    left_out: Mapping[str, str] = field(default_factory=dict)


def collect_files(
    app: Path,
    source: Path,
    entry: Path,
    shared: Iterable[Path] = (),
    files: Iterable[str] = (),
    ignore: Iterable[str] = (),
) -> Contents:
    """Return what belongs to a component: source, shared, what their code imports or names, and `files` (patterns)."""
    collecting = _Collecting(app, IgnoreRules(app, ignore))
    collecting.add_root(source)
    for root in shared:
        collecting.add_root(root)
    for pattern in files:
        for path in sorted(app.glob(pattern)):
            collecting.add_tree(path)
    search = dict.fromkeys((entry.parent, source.parent, *(path.parent for path in shared)))
    collecting.follow_code(tuple(search))
    return Contents(dict(sorted(collecting.files.items())), collecting.left_out)


class _Collecting:
    def __init__(self, app: Path, rules: IgnoreRules) -> None:
        self.files: dict[str, Path] = {}
        self.left_out: dict[str, str] = {}
        self._app = app
        self._rules = rules

    def add_root(self, root: Path) -> None:
        """Add what the app names as a component or as shared: it belongs, even if it is ignored itself."""
        if root.is_file():
            self.files[root.relative_to(self._app).as_posix()] = root
        else:
            self.add_tree(root)

    def add_tree(self, root: Path) -> None:
        """Add a file, or a folder with all that is below it."""
        for _, path in files_of(root):
            self._add(path)
        if root.is_dir():  # hidden files never belong, but people wonder where their secrets are
            for path in sorted(root.glob(".*")):
                if path.is_file() and is_secret(path.name):
                    self.left_out[path.relative_to(self._app).as_posix()] = "its name is a secret's"

    def follow_code(self, search: tuple[Path, ...]) -> None:
        """Add what the code so far imports or names, and what that imports in turn."""
        done: set[str] = set()
        while waiting := [name for name in self.files if name.endswith(".py") and name not in done]:
            for name in waiting:
                done.add(name)
                tree = _parsed(self.files[name])
                if tree is not None:
                    places = dict.fromkeys((self.files[name].parent, *search))
                    for path in (*_imported(tree, tuple(places)), *_named(tree, (*places, self._app))):
                        if path.is_relative_to(self._app):
                            self.add_tree(path)

    def _add(self, path: Path) -> None:
        name = path.relative_to(self._app).as_posix()
        if name in self.files:
            return
        reason = reason_to_leave_out(self._app, path, self._rules)
        if reason:
            self.left_out[name] = reason
        else:
            self.files[name] = path


def reason_to_leave_out(app: Path, path: Path, rules: IgnoreRules) -> str:
    """Return why a file of the app's folder never belongs to a component, "" if it may."""
    parts = path.relative_to(app).parts
    if any(is_secret(part) for part in parts):
        return "its name is a secret's"
    if any(not _belongs(part) for part in parts):
        return "it is hidden or a cache"
    if not path.resolve().is_relative_to(app.resolve()):
        return "it leads out of the app's folder"
    rule = rules.rule_for(path)
    return f"{rule} ignores it" if rule else ""


def is_secret(name: str) -> bool:
    """Whether a file of this name is likely to hold a secret."""
    return _SECRET.fullmatch(name) is not None


def files_of(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield (name relative to `root`, path) of what belongs to a source, in order: no caches, no hidden files."""
    if root.is_file():
        yield "", root
        return
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(n for n in folders if _belongs(n) and not (here / n / "pyvenv.cfg").exists())
        for name in sorted(filter(_belongs, names)):
            path = here / name
            if path.is_file():
                yield path.relative_to(root).as_posix(), path


def _belongs(name: str) -> bool:
    return not name.startswith(".") and name != "__pycache__" and not name.endswith((".pyc", "~"))


# --- what code imports and names ------------------------------------------------------------------------------------


def imports_beside(file: Path, folder: Path) -> tuple[Path, ...]:
    """Return files and folders of `folder` that a file imports, and those they import in turn."""
    found: dict[Path, None] = {}
    waiting = [file]
    while waiting:
        tree = _parsed(waiting.pop())
        for path in _imported(tree, (folder,)) if tree is not None else ():
            if path != file and path not in found:
                found[path] = None
                waiting += [path] if path.is_file() else sorted(path.rglob("*.py"))
    return tuple(found)


# CPython 3.11 counts the depth of all threads' trees together: https://github.com/python/cpython/issues/106905
_PARSING = threading.Lock()


def parse_code(source: str | bytes) -> ast.Module:
    """Return the tree of Python source, one thread at a time. Raises SyntaxError or ValueError."""
    with _PARSING:
        return ast.parse(source)


def _parsed(file: Path) -> ast.Module | None:
    """Return the file's code; None for one that cannot be read or parsed, whose trouble shows by itself."""
    try:
        return parse_code(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def _imported(tree: ast.Module, folders: tuple[Path, ...]) -> Iterator[Path]:
    """Yield modules and packages of these folders that the code imports, wherever in it."""
    for name in dict.fromkeys(_import_names(tree)):
        for folder in folders:
            module, package = folder / f"{name}.py", folder / name
            if package.is_dir() and any(package.glob("*.py")):
                yield package
                break
            if module.is_file():
                yield module
                break


def _import_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.ImportFrom):  # from . import helper
            yield from (alias.name for alias in node.names)


def _named(tree: ast.Module, folders: tuple[Path, ...]) -> Iterator[Path]:
    """Yield what of these folders a text in the code names: files, and folders in expressions that make a path.

    As in open("a.csv"), HERE / "data" / "a.csv", (HERE / "data").glob("*.csv") and os.path.join(HERE, "data", name).
    """
    for text, makes_path in dict.fromkeys(_path_texts(tree)):
        if not 0 < len(text) <= _LONGEST_PATH or "\n" in text or "\0" in text or text.startswith("/"):
            continue
        for folder in folders:
            path = Path(os.path.normpath(folder / text))
            is_below = path.is_dir() and not any(other.is_relative_to(path) for other in folders)
            if path.is_file() or (makes_path and is_below):
                yield path


def _path_texts(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Yield texts that may name files, and whether each stands where a path is made."""
    nodes = list(ast.walk(tree))
    passed = {id(node.args[0]) for node in nodes if isinstance(node, ast.Call) and _opens_to_write(node)}
    passed |= {id(node.left) for node in nodes if isinstance(node, ast.BinOp)}  # of A / B / C, the whole alone
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed:
            yield node.value, False
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and id(node) not in passed:
            yield "/".join(_joined(node)), True
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            yield "/".join(texts), name in _MAKES_PATHS


def _joined(node: ast.expr) -> list[str]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return [*_joined(node.left), *_joined(node.right)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def _opens_to_write(call: ast.Call) -> bool:
    if not (isinstance(call.func, ast.Name) and call.func.id == "open" and call.args):
        return False
    mode = next((k.value for k in call.keywords if k.arg == "mode"), call.args[1] if len(call.args) > 1 else None)
    return isinstance(mode, ast.Constant) and isinstance(mode.value, str) and mode.value[:1] in tuple("wax")


# --- what is ignored ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rule:
    base: Path
    pattern: re.Pattern[str]
    brings_back: bool
    folders_only: bool
    place: str


class IgnoreRules:
    """The rules of .gitignore (of the repository too), then .matineeignore, then `ignore = […]`; the last one wins."""

    def __init__(self, app: Path, lines: Iterable[str] = ()) -> None:
        self._app = app
        self._by_folder: dict[Path, list[_Rule]] = {}
        above = _folders_up_to_repository(app)
        self._outer = [rule for folder in above for rule in _read_rules(folder / ".gitignore", folder)]
        self._own = _read_rules(app / ".matineeignore", app) + _rules_of(lines, app, "matinee.toml")

    def rule_for(self, path: Path) -> str:
        """Return where the rule is that ignores a file below the app's folder, "" if none does."""
        inside = path.relative_to(self._app).parts
        here = self._app
        for number, part in enumerate(inside, 1):
            here = here / part
            place = self._decides(here, is_folder=number < len(inside))
            if place:  # as git has it: nothing below an ignored folder comes back
                return place
        return ""

    def _decides(self, path: Path, *, is_folder: bool) -> str:
        nested = [rule for folder in reversed(path.parents) for rule in self._rules_in(folder)]
        place = ""
        for rule in (*self._outer, *nested, *self._own):
            if (is_folder or not rule.folders_only) and rule.pattern.fullmatch(path.relative_to(rule.base).as_posix()):
                place = "" if rule.brings_back else rule.place
        return place

    def _rules_in(self, folder: Path) -> list[_Rule]:
        if folder == self._app or not folder.is_relative_to(self._app):
            return []  # its rules are among the outer ones
        if folder not in self._by_folder:
            self._by_folder[folder] = _read_rules(folder / ".gitignore", folder)
        return self._by_folder[folder]


def _folders_up_to_repository(app: Path) -> list[Path]:
    for number, folder in enumerate((app, *app.parents)):
        if (folder / ".git").exists():
            return [*reversed((app, *app.parents)[: number + 1])]
    return [app]


def _read_rules(file: Path, base: Path) -> list[_Rule]:
    try:
        return _rules_of(file.read_text("utf-8", errors="replace").splitlines(), base, file.name)
    except OSError:
        return []


def _rules_of(lines: Iterable[str], base: Path, place: str) -> list[_Rule]:
    rules = []
    for number, line in enumerate(lines, 1):
        text = line.rstrip()
        if not text or text.startswith("#"):
            continue
        brings_back = text.startswith("!")
        text = text.removeprefix("!").removeprefix("\\")
        pattern = re.compile(_regular_expression(text.rstrip("/")))
        rules.append(_Rule(base, pattern, brings_back, text.endswith("/"), f"{place}, line {number} ({line.strip()}),"))
    return rules


def _regular_expression(pattern: str) -> str:
    """Return a pattern of .gitignore as a regular expression. https://git-scm.com/docs/gitignore"""
    start = "" if "/" in pattern else "(?:.*/)?"
    found = start
    for token in re.findall(r"\*\*/|/\*\*$|\*|\?|\[[^\]]+\]|.", pattern.removeprefix("/")):
        simple = {"**/": "(?:.*/)?", "/**": "/.*", "*": "[^/]*", "?": "[^/]"}.get(token)
        in_brackets = token.replace("[!", "[^", 1) if len(token) > 1 and token[0] == "[" else re.escape(token)
        found += simple or in_brackets
    return found


# --- the version ----------------------------------------------------------------------------------------------------


def content_hash(digests: Mapping[str, str]) -> str:
    """Return 16 hexadecimal digits over files (name → digest), Python and framework: the same on every machine."""
    hasher = hashlib.sha256(f"python {sys.version_info[0]}.{sys.version_info[1]}\n{framework_hash()}\n".encode())
    for name, digest in sorted(digests.items()):
        hasher.update(f"{name}\0{digest}\n".encode())
    return hasher.hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content; an unchanged file is read once per process, for weights can be large."""
    stat = path.stat()
    if time.time_ns() - stat.st_mtime_ns < SETTLED_NS:
        return _digest.__wrapped__(str(path), 0, 0, 0)
    return _digest(str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=10_000)
def _digest(path: str, _size: int, _mtime_ns: int, _inode: int) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# --- the framework in images ----------------------------------------------------------------------------------------


def framework_files() -> Iterator[tuple[str, Path]]:
    """Yield (name relative to the package, path) of what of the framework runs inside a component."""
    return ((name, path) for name, path in _framework((EVERYWHERE,)) if name.endswith(".py"))


def ui_framework_files() -> Iterator[tuple[str, Path]]:
    """Yield the same for the UI's image: all but the developer's tools."""
    return _framework((EVERYWHERE, UI_ONLY))


def _framework(places: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    for name, path in files_of(PACKAGE):
        if FRAMEWORK.get(name.split("/")[0], EVERYWHERE) in places:
            yield name, path


@lru_cache(maxsize=1)
def framework_hash() -> str:
    """Return a hash of what of the framework runs inside a component."""
    # By content rather than by number: whoever works on the framework itself must never meet a stale manifest.
    return _hash_files(framework_files())


@lru_cache(maxsize=1)
def ui_framework_hash() -> str:
    """Return a hash of what of the framework is in the UI's image."""
    return _hash_files(ui_framework_files())


def _hash_files(files: Iterable[tuple[str, Path]]) -> str:
    digest = hashlib.sha256()
    for name, path in files:
        digest.update(f"{name}\0{file_digest(path)}\n".encode())
    return digest.hexdigest()
