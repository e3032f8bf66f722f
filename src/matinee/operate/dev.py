"""`matinee dev`: the whole app on this machine, until it is asked to end.

lock → host (Lambda service, dispatcher) → UI process → inspect and release → schedules → watch files → end everything
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from watchfiles import DefaultFilter, watch

from matinee.access.modes import make_sign_in
from matinee.access.people import USER, Users, generate_password
from matinee.access.reach import check_reach, is_this_machine
from matinee.backends.local.dev_record import dev_lock, write_dev_record
from matinee.client.background import Scheduling, schedules_of
from matinee.client.connect import session_on
from matinee.client.host import LocalHost, adopt_data
from matinee.client.processes import StageData
from matinee.deploy import current_state
from matinee.deploy.cloud import open_cloud
from matinee.deploy.stack_state import describe
from matinee.errors import ConflictError, MatineeError, NotFoundError, UsageError
from matinee.images.engine import Engine
from matinee.manifest import Release
from matinee.operate.build import Containers
from matinee.operate.ui_process import UiProcess
from matinee.project.content import IgnoreRules, file_digest, files_of
from matinee.project.load import load
from matinee.project.model import Project
from matinee.project.sections import LAN_MODE, Auth
from matinee.schedule import Schedule
from matinee.settings import AUTH, OWNER_PASSWORD, PASSWORD

_SETTINGS = ("matinee.toml", ".env*", ".gitignore", ".matineeignore")
_CODE = (".py", "requirements.txt", "pyproject.toml")
KILLED_RETRY_S = 5.0
QUIET_MS = 60  # editors write a file in several steps: wait until it is quiet


@dataclass(frozen=True)
class DevOptions:
    """What `matinee dev` was asked for. `path` is the app's folder or single file; `port` the first one to try.

    `lan` shows the app to the network, with sign-in; `without_sign_in` lets everybody in who reaches `host`.
    """

    path: Path
    host: str = "127.0.0.1"
    port: int = 8501
    ui: bool = True
    watch: bool = True
    lan: bool = False
    without_sign_in: bool = False
    containers: bool = False  # every component in its image
    data: str = ""  # a stage whose table and bucket are used instead of the folder here


@dataclass(frozen=True)
class Line:
    """Something a component wrote or the app says (`component` is "" then)."""

    component: str
    text: str


@dataclass(frozen=True)
class PortTaken:
    """The port asked for is in use, so another one is taken."""

    asked: int
    taken: int


@dataclass(frozen=True)
class Reloaded:
    """A release is live; `changed` names the components whose version it changed."""

    release: Release
    changed: tuple[str, ...]
    elapsed_s: float


@dataclass(frozen=True)
class ReloadFailed:
    """What is on disk cannot be made live; the former release goes on."""

    error: MatineeError


@dataclass(frozen=True)
class Ready:
    """The app answers: `url` for people ("" without UI), `lambda_endpoint` for the AWS CLI and boto3."""

    url: str
    lambda_endpoint: str
    elapsed_s: float


@dataclass(frozen=True)
class Shown:
    """Others reach the app: its address in the network ("" = none found), and passwords made for this process."""

    address: str
    password: str = ""
    owner_password: str = ""

    @property
    def qr_code(self) -> str:
        """The address to point a phone at, drawn with characters."""
        return qr_code(self.address) if self.address else ""


@dataclass(frozen=True)
class SignInChanged:
    """`[auth]` on disk is no longer what this process started with."""


@dataclass(frozen=True)
class Ended:
    """Everything that was started has ended."""

    signal_name: str


Event = Line | PortTaken | Reloaded | ReloadFailed | Ready | Shown | SignInChanged | Ended


def run(options: DevOptions, report: Callable[[Event], None]) -> None:
    """Run the app until SIGINT, SIGTERM or SIGHUP (a closed terminal); then end exactly what was started.

    Raises ProjectError for a folder that holds no app, MatineeError when another dev runs on it, UsageError when the
    app would be open to others without sign-in.
    """
    started = time.monotonic()
    on_disk = load(options.path)
    reach = reach_of(
        on_disk.auth, os.environ, host=options.host, lan=options.lan, without_sign_in=options.without_sign_in
    )
    project = reach.of(on_disk)
    adopt_data(project)
    with _stop_signals() as stop, dev_lock(project.data):
        housing = Containers(Engine.detect()) if options.containers else None
        place = data_of(on_disk, options.data) if options.data else None
        host = LocalHost(project, lambda component, line: report(Line(component, line)), housing=housing, place=place)
        schedules = Scheduling(host.backend, host.settings)
        ui: UiProcess | None = None
        try:
            if options.ui:
                ui = _start_ui(host, options.port, reach, report)
            url = ui.url if ui else ""
            write_dev_record(project.data, host.dev_record(url, is_ready=False))
            before = fingerprint(options.path, project)
            with stop.at_once():
                _reload(host, project, report, is_first=True)
            write_dev_record(project.data, host.dev_record(url))
            if not stop.is_set():
                schedules.start()
            if ui:
                ui.wait_until_it_answers(stop)
                ui.keep_alive()
            if not stop.is_set():
                _report_ready(host, ui, reach, started, report)
            _follow(host, options, reach, on_disk.auth, before, stop, report)
        finally:
            with ExitStack() as steps:  # from the last to the first; one that fails keeps no other from its end
                steps.callback(host.stop)
                steps.callback(schedules.stop)
                if ui:
                    steps.callback(ui.stop)
    report(Ended(stop.name))


class _Stop(threading.Event):
    """Set when the dev is to end; `name` is the signal's. During `at_once`, KeyboardInterrupt is raised as well."""

    name = ""
    _raises = False

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Have the block interrupted by the signal, where an import or an installation may take minutes."""
        self._raises = True
        try:
            yield
        except KeyboardInterrupt:
            if not self.is_set():
                raise
        finally:
            self._raises = False

    def handle(self, number: int, _frame: object) -> None:
        """Take a signal."""
        self.name = signal.Signals(number).name
        self.set()
        if self._raises:
            self._raises = False  # once: what ends now is not interrupted again
            raise KeyboardInterrupt


@contextmanager
def _stop_signals() -> Iterator[_Stop]:
    """Turn the signals that end a dev into an event, so that ending happens in one place."""
    stop = _Stop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    former = {number: signal.signal(number, stop.handle) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _start_ui(host: LocalHost, first_port: int, reach: Reach, report: Callable[[Event], None]) -> UiProcess:
    ui = UiProcess(
        reach.host,
        first_port,
        {**host.settings.environment(), **host.ui_environment, **reach.made, AUTH: json.dumps(vars(reach.auth))},
        lambda component, line: report(Line(component, line)),
        own_host=reach.own_host,
        without_sign_in=reach.without_sign_in,
    )
    if ui.port != first_port:
        report(PortTaken(first_port, ui.port))
    return ui


def _report_ready(
    host: LocalHost, ui: UiProcess | None, reach: Reach, started: float, report: Callable[[Event], None]
) -> None:
    report(Ready(ui.url if ui else "", host.service.endpoint, time.monotonic() - started))
    if reach.auth.sign_in_mode.has_accounts and not host.backend.store.documents(USER):
        report(Line("", "Nobody can sign in yet: add somebody with `matinee users add NAME --owner`."))
    if ui and reach.is_wide:
        report(_shown(reach, ui.port))


def _shown(reach: Reach, port: int) -> Shown:
    address = network_address() if reach.host == EVERYWHERE else reach.host
    passwords = (reach.made.get(PASSWORD, ""), reach.made.get(OWNER_PASSWORD, ""))
    return Shown(f"http://{address}:{port}" if address else "", *passwords)


# --- following changes ----------------------------------------------------------------------------------------------


def _reload(host: LocalHost, project: Project, report: Callable[[Event], None], *, is_first: bool = False) -> None:
    started = time.monotonic()
    last = host.backend.store.release()
    before = {c.name: (c.hash, c.trouble) for c in last.components} if last else {}
    release = host.reload(project)
    changed = tuple(c.name for c in release.components if before.get(c.name) != (c.hash, c.trouble))
    report(Reloaded(release, changed, time.monotonic() - started))
    known = {} if is_first or last is None else schedules_of(last)
    for predictor, schedule in schedules_of(release).items():
        if known.get(predictor) != schedule:
            report(Line("", f"{predictor} runs by itself, {schedule.expression}: {_when(schedule)}."))


def _when(schedule: Schedule) -> str:
    at = schedule.next_after(time.time())
    return "never any more" if at is None else time.strftime("next at %Y-%m-%d %H:%M UTC", time.gmtime(at))


def _follow(
    host: LocalHost,
    options: DevOptions,
    reach: Reach,
    started_with: Auth,
    before: str,
    stop: _Stop,
    report: Callable[[Event], None],
) -> None:
    if not options.watch:
        stop.wait()
        return
    folder = host.project.folder
    ignore = _Ignore(host.project.data_root)
    # What was saved between the first inspection and the watch is looked for at once.
    known = _fingerprint_of(options.path, host)  # first: what is saved between the two is then a change
    known = known if fingerprint(options.path, host.project) == before else ""
    look_again = True
    retry_at = _retry_at(host)
    for changes in watch(
        folder,
        watch_filter=ignore,
        stop_event=stop,
        debounce=QUIET_MS,
        step=20,
        rust_timeout=200,
        yield_on_timeout=True,
    ):
        is_retry = time.monotonic() >= retry_at
        if not (changes or look_again or is_retry):
            continue
        look_again = False
        if (
            not is_retry and _fingerprint_of(options.path, host) == known
        ):  # what a component or a shell writes here: a log, a cache
            continue
        before = fingerprint(options.path, host.project)
        try:
            on_disk = load(options.path)
            with stop.at_once():
                _reload(host, reach.of(on_disk), report)
            if on_disk.auth != started_with:
                report(SignInChanged())
        except MatineeError as error:
            report(ReloadFailed(error))
        retry_at = _retry_at(host)
        known = _fingerprint_of(options.path, host)
        look_again = fingerprint(options.path, host.project) != before  # it was saved once more meanwhile
        known = "" if look_again else known


def _retry_at(host: LocalHost) -> float:
    """Return when to inspect again what was killed, by the monotonic clock."""
    return time.monotonic() + KILLED_RETRY_S if host.was_killed else float("inf")


def _fingerprint_of(path: Path, host: LocalHost) -> str:
    return fingerprint(path, host.project, host.own_files, has_trouble=host.has_trouble)


def fingerprint(path: Path, last: Project, more: Iterable[Path] = (), *, has_trouble: bool = False) -> str:
    """Return a hash of all that a reload depends on: code, settings, secrets, pages, files of components and `more`.

    `last` stands in for an app that cannot be read now. Other files of the folder change nothing, logs for example.
    Their names count while a component has trouble: the file that it lacks may come.
    """
    with suppress(MatineeError):
        last = load(path)
    rules = IgnoreRules(last.folder)
    found = {last.folder / name for name in (last.ui.logo, last.ui.about) if name}
    found |= {file for pattern in _SETTINGS for file in last.folder.glob(pattern)}
    found |= {file for name, file in files_of(last.folder) if name.endswith(_CODE) and not rules.rule_for(file)}
    for component in last.components:
        with suppress(OSError):
            found |= set(component.contents().files.values())
    found.update(more)
    digest = hashlib.sha256()
    if has_trouble:
        digest.update("\0".join(name for name, _ in files_of(last.folder)).encode())
    for file in sorted(found):
        with suppress(OSError):
            digest.update(f"{file}\0{file_digest(file)}\n".encode())
    return digest.hexdigest()


class _Ignore(DefaultFilter):
    """What the app itself writes, and what watchfiles ignores by default, is no change of the app."""

    def __init__(self, data: Path) -> None:
        super().__init__(ignore_paths=[data.resolve()])


# --- data of a stage --------------------------------------------------------------------------------------------------
# The data of `matinee dev --data STAGE`: a table and a bucket that `matinee deploy --data-only` made.


def data_of(project: Project, stage: str) -> StageData:
    """Return where a stage keeps its data.

    Raises NotFoundError when it keeps none, ConflictError when an app is deployed there: what runs here would be live
    in its place.
    """
    names, session = session_on(project, stage)
    cloud = open_cloud(names, session.settings)
    if describe(cloud, names.data_stack) is None:
        raise NotFoundError(
            f"The stage {stage} of {names.app} has no table and no bucket in {cloud.region}.",
            hint=f"Make them: matinee deploy --stage {stage} --data-only",
        )
    if current_state.read_release(cloud).aws.stack:
        raise ConflictError(
            f"The app is deployed on {stage}: what runs here would be live in its place.",
            hint="Take a stage of your own: matinee deploy --stage NAME --data-only",
        )
    return StageData(cloud.session.settings)


# --- who can reach it -------------------------------------------------------------------------------------------------
# Whom a dev reaches: this machine alone, or the network around it, and then never without sign-in.

EVERYWHERE = "0.0.0.0"  # noqa: S104 - only ever with sign-in
LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class Reach:
    """Where the UI listens, who may come in, and the passwords made for this one process."""

    host: str
    auth: Auth
    without_sign_in: bool = False
    made: Mapping[str, str] = field(default_factory=dict, repr=False)  # variable → password

    @property
    def own_host(self) -> str:
        """The address under which this machine reaches it."""
        return LOCAL if self.host in (EVERYWHERE, "::", "") else self.host

    @property
    def is_wide(self) -> bool:
        """Whether other machines reach it."""
        return not is_this_machine(self.host)

    def of(self, project: Project) -> Project:
        """Return the app with the sign-in of this process."""
        return replace(project, auth=self.auth)


def reach_of(
    auth: Auth, environ: Mapping[str, str], *, host: str, lan: bool = False, without_sign_in: bool = False
) -> Reach:
    """Return whom the app reaches. UsageError if others could use it unasked, or what sign-in needs is not there.

    `lan`: the whole network, with passwords made for this process where the app has no sign-in of its own.
    """
    if lan and without_sign_in:
        raise UsageError("--lan and --without-sign-in exclude each other.", hint="Leave one of them out.")
    made: dict[str, str] = {}
    if lan:
        host = EVERYWHERE if is_this_machine(host) else host
        if auth.sign_in_mode.is_open:
            auth = replace(auth, mode=LAN_MODE)
            made = {name: generate_password() for name in (PASSWORD, OWNER_PASSWORD) if not environ.get(name)}
    mode = make_sign_in(auth, {**environ, **made}, _no_users)
    mode.check_start()
    check_reach(mode, host, without_sign_in=without_sign_in)
    return Reach(host, auth, without_sign_in, made)


def _no_users() -> Users:
    raise UsageError("Nobody signs in before the app is open.", hint="Start it first.")


def network_address() -> str:
    """Return this machine's address in its network, "" if it has none. Nothing is sent: only a route is looked up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address: RFC 5737
            address = str(probe.getsockname()[0])
        except OSError:
            return ""
    return "" if is_this_machine(address) or address == EVERYWHERE else address


def qr_code(address: str) -> str:
    """Return a QR code of the address, drawn with half blocks, two rows to a line."""
    import segno

    rows = [list(row) for row in segno.make(address, error="l").matrix_iter(border=2)]
    rows += [[0] * len(rows[0])] if len(rows) % 2 else []
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return "\n".join("".join(_BLOCKS[(top, low)] for top, low in zip(*pair, strict=True)) for pair in pairs)


_BLOCKS = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}  # light modules are drawn: terminals are dark
