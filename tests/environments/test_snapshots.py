"""Each version is a snapshot: what belongs to a component, as it was hashed, and every process starts from it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from matinee.environments.inspect import InspectedComponent, inspect_app
from matinee.environments.snapshots import KEPT, SnapshotFolder
from matinee.own_paths import SNAPSHOTS, name_own_files
from matinee.project.load import load

PREDICTOR = "\n@realtime\ndef f(n: int) -> int:\n    return n\n"
HEAD = "import os\nfrom pathlib import Path\nfrom matinee import realtime\nHERE = Path(__file__).parent\n"


def app(folder: Path, code: str = "", toml: str = "", **files: str) -> Path:
    (folder / "matinee.toml").write_text(f'name = "shop"\ncomponents = ["main.py"]\n{toml}')
    (folder / "main.py").write_text(HEAD + code + PREDICTOR)
    for name, text in files.items():
        write(folder / name.replace("_", "."), text)
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def inspected(folder: Path) -> InspectedComponent:
    (item,) = inspect_app(load(folder))
    return item


BELONGS = {
    "imported": ("import helpers", ["helpers.py"]),
    "imported in a function": ("def g():\n    import helpers", ["helpers.py"]),
    "imported by what it imports": ("import first", ["first.py", "helpers.py"]),
    "a package with its data": ("import package", ["package/__init__.py", "package/words.txt"]),
    "imported by a computed name": ("import importlib; importlib.import_module('hel' + 'pers')", ["helpers.py"]),
    "opened beside it": ("(HERE / 'data' / 'prices.csv').read_text()", ["data/prices.csv"]),
    "opened by a computed name": (
        "(HERE / ('da' + 'ta') / '{}.csv'.format('prices')).read_text()",
        ["data/prices.csv"],
    ),
    "opened from the working folder": ("open(os.path.join('data', 'prices.csv'))", ["data/prices.csv"]),
    "opened one by one": ("[(HERE / 'data' / (n + '.csv')).read_text() for n in ['prices']]", ["data/prices.csv"]),
    "named in a function": ("def g(): return open('data/prices.csv')", ["data/prices.csv"]),
    "found by listing a folder": (
        "sorted(p.read_text() for p in (HERE / 'da' 'ta').glob('*.csv'))",
        ["data/prices.csv"],
    ),
}


@pytest.mark.parametrize(("code", "found"), BELONGS.values(), ids=BELONGS)
def test_what_it_imports_and_opens_of_the_apps_folder_belongs_to_it(
    tmp_path: Path, code: str, found: list[str]
) -> None:
    app(tmp_path, code, helpers_py="X = 1", first_py="import helpers")
    write(tmp_path / "package" / "__init__.py", "")
    write(tmp_path / "package" / "words.txt", "words")
    write(tmp_path / "data" / "prices.csv", "1")
    write(tmp_path / "unrelated.py", "")
    item = inspected(tmp_path)
    assert item.manifest.trouble is None
    assert item.files == tuple(sorted(["main.py", *found]))
    before = item.manifest.hash
    write(tmp_path / found[-1], "X = 2")
    assert inspected(tmp_path).manifest.hash != before
    assert inspected(tmp_path).files == item.files


AT_CALL = """
from matinee import realtime
HERE = Path(__file__).parent

@realtime(examples=[{"name": "prices"}])
def read(name: str) -> str:
    return (HERE / "da".__add__("ta") / f"{name}.csv").read_text()
"""


def test_what_an_example_opens_belongs_to_it_too(tmp_path: Path) -> None:
    app(tmp_path, AT_CALL)
    write(tmp_path / "data" / "prices.csv", "1")
    write(tmp_path / "data" / "others.csv", "2")
    item = inspected(tmp_path)
    assert item.files == ("data/prices.csv", "main.py")
    assert inspected(tmp_path).files == item.files


def test_an_example_that_fails_prints_or_ends_the_process_is_no_trouble(tmp_path: Path) -> None:
    code = AT_CALL.replace("    return ", "    print('{}')\n    raise SystemExit(3)\n    return ")
    app(tmp_path, code)
    write(tmp_path / "data" / "prices.csv", "1")
    item = inspected(tmp_path)
    assert item.manifest.trouble is None
    assert item.files == ("main.py",)


def test_examples_are_not_run_where_nothing_more_could_be_opened(tmp_path: Path) -> None:
    app(tmp_path, AT_CALL.replace("    return ", "    Path(__file__).parents[3].joinpath('ran').touch()\n    return "))
    inspected(tmp_path)
    assert not list(tmp_path.rglob("ran"))


@pytest.mark.parametrize("code", ["os.listdir(HERE)", "sorted(HERE.glob('*.csv'))", "[*os.scandir(HERE)]"])
def test_a_component_that_lists_the_apps_folder_is_told_what_to_add(tmp_path: Path, code: str) -> None:
    app(tmp_path, code)
    write(tmp_path / "prices.csv", "1")
    item = inspected(tmp_path)
    assert 'files = ["*.csv"]' in item.left_out["prices.csv"]
    assert inspected(tmp_path).left_out == item.left_out
    app(tmp_path, code, 'files = ["*.csv"]\n')
    item = inspected(tmp_path)
    assert (item.files, item.left_out) == (("main.py", "prices.csv"), {})


def test_other_files_change_nothing(tmp_path: Path) -> None:
    app(tmp_path)
    before = inspected(tmp_path)
    write(tmp_path / "dev.log", "line")
    write(tmp_path / "other.py", "X = 1")
    assert inspected(tmp_path) == before


def test_more_files_are_named_in_the_toml(tmp_path: Path) -> None:
    app(tmp_path, toml='files = ["models/*.bin", "words.txt"]\n')
    for name in ("models/a.bin", "models/b.bin", "models/c.txt", "words.txt"):
        write(tmp_path / name, "x")
    assert inspected(tmp_path).files == ("main.py", "models/a.bin", "models/b.bin", "words.txt")


def test_what_is_missing_in_the_snapshot_is_said_with_the_line_to_add(tmp_path: Path) -> None:
    app(tmp_path, "open(''.join(['words', '.t', 'xt'])).read()", toml='ignore = ["*.txt"]\n')
    write(tmp_path / "words.txt", "x")
    trouble = inspected(tmp_path).manifest.trouble
    assert trouble
    assert 'files = ["words.txt"]' in trouble.hint
    assert trouble.file == str(tmp_path / "main.py")


NEVER = [
    ".env",
    ".env.local",
    "prod.env",
    "server.pem",
    "id_rsa",
    "credentials.json",
    ".git/config",
    "cache/x.bin",
    "x.tmp",
]


@pytest.mark.parametrize("name", NEVER)
def test_secrets_and_ignored_files_never_belong_even_when_opened_or_named(tmp_path: Path, name: str) -> None:
    app(tmp_path, f"p = HERE / {name!r}\ntry:\n    p.read_text()\nexcept OSError:\n    pass", f'files = ["{name}"]\n')
    write(tmp_path / name, "secret")
    write(tmp_path / ".gitignore", "*.tmp\n")
    write(tmp_path / ".matineeignore", "cache/\n")
    item = inspected(tmp_path)
    assert item.files == ("main.py",)
    assert item.left_out[name]


def test_an_ignored_file_comes_back_by_a_later_rule(tmp_path: Path) -> None:
    app(tmp_path, "open('weights.bin')")
    write(tmp_path / "weights.bin", "x")
    write(tmp_path / ".gitignore", "# weights\n/*.bin\n")
    assert inspected(tmp_path).left_out == {"weights.bin": ".gitignore, line 2 (/*.bin), ignores it"}
    write(tmp_path / ".matineeignore", "!weights.bin\n")
    assert inspected(tmp_path).files == ("main.py", "weights.bin")


def test_a_link_that_leaves_the_apps_folder_is_left_out(tmp_path: Path) -> None:
    home = tmp_path / "app"
    home.mkdir()
    write(tmp_path / "outside.txt", "x")
    app(home, "p = HERE / 'link.txt'\np.exists() and p.read_text()")
    (home / "link.txt").symlink_to(tmp_path / "outside.txt")
    item = inspected(home)
    assert item.files == ("main.py",)
    assert item.left_out == {"link.txt": "it leads out of the app's folder"}


def test_a_snapshot_stays_as_it_was_hashed(tmp_path: Path) -> None:
    app(tmp_path, "WORD = open('words.txt').read()", words_txt="before")
    item = inspected(tmp_path)
    write(tmp_path / "words.txt", "after")
    assert (item.code.app_folder / "words.txt").read_text() == "before"
    assert not (item.code.app_folder / "words.txt").stat().st_mode & 0o222


def test_content_is_stored_once(tmp_path: Path) -> None:
    app(tmp_path, "open('weights.bin')", weights_bin="0" * 1000)
    first = inspected(tmp_path)
    app(tmp_path, "open('weights.bin')\nX = 2")
    second = inspected(tmp_path)
    assert first.manifest.hash != second.manifest.hash
    assert (first.code.app_folder / "weights.bin").samefile(second.code.app_folder / "weights.bin")


def test_a_component_that_changes_its_own_files_is_refused(tmp_path: Path) -> None:
    change = "p = HERE / 'words.txt'\nold = p.read_text()\np.unlink()\np.write_text(old + 'x')"
    app(tmp_path, change, words_txt="before")
    trouble = inspected(tmp_path).manifest.trouble
    assert trouble
    assert trouble.message == "Component main changes its own file words.txt while it is imported."
    assert (tmp_path / "words.txt").read_text() == "before"


def test_what_a_component_writes_beside_itself_makes_no_version(tmp_path: Path) -> None:
    app(tmp_path, "(HERE / 'cache.json').write_text(str(os.getpid()))\nopen('log.txt', 'a').write('x')")
    hashes = {inspected(tmp_path).manifest.hash for _ in range(3)}
    assert len(hashes) == 1
    assert not (tmp_path / "cache.json").exists()


def test_a_damaged_snapshot_is_made_anew(tmp_path: Path) -> None:
    item = inspected(app(tmp_path))
    file = item.code.source
    file.unlink()
    file.write_text("broken")
    assert inspected(tmp_path).code.source.read_text() == (tmp_path / "main.py").read_text()


def test_snapshots_that_nothing_runs_from_are_removed(tmp_path: Path) -> None:
    snapshots = SnapshotFolder(tmp_path)
    taken = []
    for number in range(KEPT + 4):
        app(tmp_path, f"X = {number}")
        taken.append(snapshots.take(load(tmp_path).components[0]))
        os.utime(tmp_path / SNAPSHOTS / taken[-1].hash, (number, number))
    hold = "import sys\nfrom matinee.runtime.execute import load_component\nload_component(sys.argv[1])\n"
    hold += "print('loaded', flush=True)\nsys.stdin.read()"
    command = [sys.executable, "-P", "-c", hold, str(taken[1].component.source)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline()
        snapshots.remove_unused([taken[0].hash])
        process.communicate()
    there = [(tmp_path / SNAPSHOTS / snapshot.hash).is_dir() for snapshot in taken]
    live, running, gone, *newest = there
    assert (live, running, gone) == (True, True, False)
    assert newest[-KEPT:] == [True] * KEPT


def test_texts_name_the_users_own_files() -> None:
    inside = f"/home/ada/app/{SNAPSHOTS}/0123456789abcdef"
    assert name_own_files(f'File "{inside}/main.py", line 3, in {inside}') == (
        'File "/home/ada/app/main.py", line 3, in /home/ada/app'
    )
    assert name_own_files(f"/home/ada/app/{SNAPSHOTS}/files") == f"/home/ada/app/{SNAPSHOTS}/files"
