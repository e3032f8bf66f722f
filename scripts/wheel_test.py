"""Build the wheel, look what it holds, and use it in an empty environment: `make wheel-test`.

Each round installs the wheel and nothing else into a new environment, with Streamlit, uvicorn and Starlette at the
lowest versions that pyproject.toml declares (`lowest`) or at the newest that are published (`highest`); runs
`matinee dev` on a predictor file; and presses Predict in Debian's Chromium.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import Parser
from pathlib import Path

import uv
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
AT_LOWEST = ("streamlit", "uvicorn", "starlette")
ROUNDS = ("lowest", "highest")
SLOWER = "without Matinee's changes for speed"  # what the log says where ui/streamlit_patches.py is off
BUILD_S, START_S, PAGE_MS = 300, 120, 60_000
HELLO = '''
from datetime import date, datetime, time
from typing import Literal

import altair as alt  # comes with Streamlit

from matinee import realtime

Long = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "no day at all"]


@realtime(examples=[{"name": "Ada"}])
def hello(
    name: str,
    is_loud: bool = False,
    times: int = 1,
    share: float = 0.5,
    tone: Literal["kind", "curt"] = "kind",
    day: Long = "monday",
    born: date = date(1815, 12, 10),
    at: time = time(9, 0),
    until: datetime = datetime(1852, 11, 27, 12, 0),
) -> str:
    """Say hello: a field of every kind that Streamlit draws."""
    return f"Hello, {name} of {born.year}!"


@realtime
def draw(points: int = 3) -> alt.Chart:
    """Draw a line."""
    values = [{"x": n, "y": n * n} for n in range(points)]
    return alt.Chart(alt.Data(values=values)).mark_line().encode(x="x:Q", y="y:Q")
'''


class WheelError(Exception):
    """One sentence for the person at the keyboard."""


def main(rounds: list[str]) -> int:
    """Do these rounds, or both; return the exit code."""
    try:
        with tempfile.TemporaryDirectory(prefix="matinee-wheel-") as folder:
            wheel = build_wheel(Path(folder))
            check_contents(wheel)
            for name in rounds or ROUNDS:
                try_round(name, wheel, Path(folder) / name)
    except WheelError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


# --- The wheel ----------------------------------------------------------------------------------------------------


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout with the build backend of `.venv`."""
    run(uv.find_uv_bin(), "build", "--wheel", "--no-build-isolation", "--python", sys.executable, "-o", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def check_contents(wheel: Path) -> None:
    """Raise WheelError unless the wheel holds the package as it is in git, its licence, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    source = run("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "src/matinee").split("\n")
    expected = {name.removeprefix("src/") for name in source if name and (ROOT / name).exists()}
    about = {name for name in names if ".dist-info/" in name}
    missing, too_many = expected - names, names - expected - about
    if missing or too_many:
        raise WheelError(f"The wheel lacks {sorted(missing)} and has {sorted(too_many)} too many.")
    for name in ("METADATA", "entry_points.txt", "licenses/LICENSE"):
        if not any(known.endswith(f".dist-info/{name}") for known in about):
            raise WheelError(f"The wheel has no {name}.")
    print(f"{wheel.name}: {len(expected)} files, {wheel.stat().st_size / 1000:.0f} kB")


def lowest_versions(wheel: Path) -> list[str]:
    """Return `name==version` of the lowest versions that the wheel declares of AT_LOWEST."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    lowest = {}
    for text in metadata.get_all("Requires-Dist", []):
        requirement = Requirement(text)
        floors = [each.version for each in requirement.specifier if each.operator in (">=", "~=")]
        if floors:
            lowest[canonicalize_name(requirement.name)] = floors[0]
    return [f"{name}=={lowest[name]}" for name in AT_LOWEST]


# --- A round ------------------------------------------------------------------------------------------------------


def try_round(name: str, wheel: Path, folder: Path) -> None:
    """Install the wheel into a new environment, run an app with it and use its page."""
    pinned = lowest_versions(wheel) if name == "lowest" else []
    run(uv.find_uv_bin(), "venv", "--quiet", "--python", sys.executable, folder)
    python = folder / "bin" / "python"
    run(uv.find_uv_bin(), "pip", "install", "--quiet", "--python", python, wheel, *pinned)
    listing = run(uv.find_uv_bin(), "pip", "list", "--python", python, "--format", "freeze").split()
    versions = dict(line.split("==", 1) for line in listing if "==" in line)
    app = folder / "app"
    app.mkdir()
    (app / "hello.py").write_text(HELLO)
    with running_dev(folder, app) as (url, log):
        press_predict(url)
        is_slower = SLOWER in log.read_text()
    run(python, "-c", PATCHES_AGREE, str(not is_slower))
    what = ", ".join(f"{name} {versions[name]}" for name in AT_LOWEST)
    print(f"{name}: the page answers with {what}{' (slower: said in the log)' if is_slower else ''}")


PATCHES_AGREE = """
import sys, streamlit
from matinee.ui.streamlit_patches import VERSIONS
expected = VERSIONS.contains(streamlit.__version__)
if str(expected) != sys.argv[1]:
    sys.exit(f"Is Streamlit {streamlit.__version__} patched? By VERSIONS {expected}, by the log {sys.argv[1]}.")
"""


@contextmanager
def running_dev(environment: Path, app: Path) -> Iterator[tuple[str, Path]]:
    """Run `matinee dev` from the environment alone; give the address and the file of what it prints."""
    output = app / "dev.log"
    variables = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    path = f"{environment / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [environment / "bin" / "matinee", "dev", "hello.py"],
            cwd=app,
            env={**variables, "PATH": path, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield await_ready(process, output), output
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def await_ready(process: subprocess.Popen[bytes], output: Path) -> str:
    """Return the address that `matinee dev` prints when it is ready."""
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        text = output.read_text(errors="replace")
        if "Ready" in text and (address := re.search(r"http://127\.0\.0\.1:\d+", text)):
            return address[0]
        time.sleep(0.1)
    raise WheelError(f"`matinee dev` did not start:\n{output.read_text(errors='replace')}")


def press_predict(url: str) -> None:
    """Open a page, fill in its form, press Predict and wait for the answer; on another one wait for a chart."""
    from playwright.sync_api import Error, sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        raise WheelError("This needs a browser: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_default_timeout(PAGE_MS)
        try:
            page.goto(url)
            page.get_by_role("textbox", name="name").fill("Ada")
            page.get_by_role("button", name="Predict").click()
            page.get_by_text("Hello, Ada of 1815!").first.wait_for()
            page.goto(f"{url}/draw")
            page.get_by_role("button", name="Predict").click()
            page.get_by_test_id("stVegaLiteChart").wait_for()
        except Error as error:
            raise WheelError(f"The page at {url} shows no form or no answer: {error.message}") from None
        finally:
            browser.close()


def run(*command: object) -> str:
    """Run a command and return what it prints; WheelError with its last lines when it fails."""
    arguments = [str(part) for part in command]
    done = subprocess.run(
        arguments, capture_output=True, text=True, timeout=BUILD_S, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise WheelError(f"`{' '.join(arguments)[:200]}` failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
