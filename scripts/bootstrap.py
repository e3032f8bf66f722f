"""Make `.venv` with the locked development environment from nothing but Python: `python3 scripts/bootstrap.py`.

Needs no pip, no venv module, no compiler; quick when nothing changed: a stamp in `.venv` names the content it was made
from. uv does the work. Where `ensurepip` is missing (Debian splits it off), uv's own wheel is fetched from the package
index and checked against the hashes of the lock.
"""

from __future__ import annotations

import configparser
import hashlib
import importlib.util
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements" / "dev.txt"
STAMP = VENV / "made-from"
OLDEST = (3, 11)
PUBLIC_INDEX = "https://pypi.org/simple"
PIP_FILES = ("/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")  # where pip itself looks, the last one wins
TIMEOUT_S = 60


class SetupError(Exception):
    """One sentence for the person at the keyboard."""


def main() -> int:
    """Bring `.venv` up to date and return the exit code."""
    if sys.version_info < OLDEST:
        print(
            "Matinee needs Python {}.{} or newer; this is {}: name another one with `make PYTHON=python3.12 …`.".format(
                *OLDEST, platform.python_version()
            ),
            file=sys.stderr,
        )
        return 2
    try:
        make_environment()
    except SetupError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def make_environment() -> None:
    """Make or renew `.venv`, unless its stamp says that it is what the lock asks for."""
    content = fingerprint()
    if STAMP.is_file() and STAMP.read_text() == content and PYTHON.exists():
        return
    print("Setting up .venv from requirements/dev.txt …", file=sys.stderr)
    STAMP.unlink(missing_ok=True)
    uv = find_uv()
    if not PYTHON.exists():
        shutil.rmtree(VENV, ignore_errors=True)  # whatever a killed attempt left
        run(uv, "venv", "--quiet", "--python", sys.executable, str(VENV))
    run(uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(PYTHON), str(LOCK))
    run(uv, "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--python", str(PYTHON), "-e", str(ROOT))
    STAMP.write_text(content)
    print(".venv is ready.", file=sys.stderr)


def fingerprint() -> str:
    """Return a hash of everything the environment is made from, its place included."""
    parts = [LOCK.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), sys.version.encode(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def find_uv() -> Path:
    """Return a uv binary of the locked version, fetched if need be."""
    version, hashes = locked("uv")
    uv = VENV / "bin" / "uv"
    if PYTHON.exists() and is_version(uv, version):
        return uv
    kept = ROOT / "build" / f"uv-{version}"  # outside .venv, which may yet have to be made
    if not is_version(kept, version):
        kept.parent.mkdir(exist_ok=True)
        fetch = fetch_with_pip if importlib.util.find_spec("ensurepip") else fetch_from_index
        fetch(version, hashes, kept)
    return kept


def locked(package: str) -> tuple[str, set[str]]:
    """Return version and sha256 hashes of a package in the lock."""
    match = re.search(rf"^{package}==(\S+)((?:.*\\\n)+.*)", LOCK.read_text(), re.MULTILINE)
    if not match:
        raise SetupError(f"{package} is not in requirements/dev.txt: run `make lock` on a machine that has .venv.")
    return match[1], set(re.findall(r"sha256:([0-9a-f]{64})", match[2]))


def is_version(uv: Path, version: str) -> bool:
    """Return whether `uv` runs and is of this version."""
    try:
        said = subprocess.run([str(uv), "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    return said.split()[1:2] == [version]


def fetch_with_pip(version: str, hashes: set[str], target: Path) -> None:
    """Get uv by the pip of a throw-away virtual environment; pip reads its own configuration."""
    folder = target.with_name("pip")
    wanted = target.with_name("uv.txt")
    wanted.write_text(f"uv=={version} " + " ".join(f"--hash=sha256:{value}" for value in sorted(hashes)) + "\n")
    run(Path(sys.executable), "-m", "venv", "--clear", str(folder))
    run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(wanted))
    shutil.copy2(folder / "bin" / "uv", target)
    shutil.rmtree(folder)
    wanted.unlink()


def fetch_from_index(version: str, hashes: set[str], target: Path) -> None:
    """Get uv's wheel for this machine from the package index and unpack its binary."""
    index = index_url()
    url = next((url for name, url in wheels(index) if fits(name, version)), None)
    if url is None:
        raise SetupError(f"{host(index)} has no uv {version} for {platform.machine()}: install python3-venv first.")
    data = download(url)
    if hashlib.sha256(data).hexdigest() not in hashes:
        raise SetupError("The uv downloaded is not the one of requirements/dev.txt (its sha256 differs).")
    with zipfile.ZipFile(io.BytesIO(data)) as wheel:
        member = next(name for name in wheel.namelist() if name.endswith(".data/scripts/uv"))
        target.write_bytes(wheel.read(member))
    target.chmod(0o755)


def fits(filename: str, version: str) -> bool:
    """Return whether a wheel's name says this version, system and processor."""
    if not filename.startswith(f"uv-{version}-"):
        return False
    machine = re.escape(platform.machine())
    if sys.platform == "darwin":
        return bool(re.search(rf"-macosx_\d+_\d+_{machine}\.whl$", filename))
    libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    return bool(re.search(rf"[-.]{libc}\w*_{machine}(\.|$)", filename))


def index_url() -> str:
    """Return the package index this machine is set up for: environment, pip.conf, else the public one."""
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        if os.environ.get(name):
            return os.environ[name].rstrip("/")
    config = configparser.ConfigParser(interpolation=None)
    extra = os.environ.get("PIP_CONFIG_FILE", "")
    config.read([*(Path(name).expanduser() for name in PIP_FILES), *([extra] if extra else [])])
    return config.get("global", "index-url", fallback=PUBLIC_INDEX).rstrip("/")


def wheels(index: str) -> list[tuple[str, str]]:
    """Return file names and addresses of uv's wheels; reads the index's JSON form, or HTML where it has only that."""
    page = f"{index}/uv/"
    text = download(page, accept="application/vnd.pypi.simple.v1+json, text/html;q=0.1").decode()
    if text.lstrip().startswith("{"):
        found = [(file["filename"], file["url"]) for file in json.loads(text)["files"]]
    else:
        found = [(name, url) for url, name in re.findall(r'<a [^>]*href="([^"]+)"[^>]*>\s*([^<]+?)\s*</a>', text)]
    return [(name, urllib.parse.urljoin(page, url)) for name, url in found]


def download(url: str, *, accept: str = "*/*") -> bytes:
    """Return what is at the address; a name and password in it are sent as basic authentication."""
    parts = urllib.parse.urlsplit(url)
    opener = urllib.request.build_opener()
    if parts.username:
        passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        passwords.add_password(
            None, bare, urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or ""), True
        )
        opener.add_handler(urllib.request.HTTPBasicAuthHandler(passwords))
        url = bare
    try:
        with opener.open(urllib.request.Request(url, headers={"Accept": accept}), timeout=TIMEOUT_S) as answer:
            return bytes(answer.read())
    except OSError as error:
        raise SetupError(f"The package index at {host(url)} cannot be reached ({error}): check the network.") from error


def host(url: str) -> str:
    """Return the host of an address, without any password."""
    return urllib.parse.urlsplit(url).hostname or url


def run(program: Path, *arguments: str) -> None:
    """Run a program with the machine's own certificates and package index; SetupError if it fails."""
    environment = {**os.environ}
    environment.setdefault("UV_SYSTEM_CERTS", "true")
    environment.setdefault("UV_DEFAULT_INDEX", index_url())
    environment["UV_PYTHON_DOWNLOADS"] = "never"
    if subprocess.run([str(program), *arguments], env=environment, check=False).returncode:
        raise SetupError(
            f"Setting up stopped at `{Path(program).name} {' '.join(arguments[:2])}`: its message is above."
        )


if __name__ == "__main__":
    sys.exit(main())
