"""What a deployment starts from: the four stacks, what is live, and which images the repository has."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from typing import Any

from matinee.backends.aws.files import S3Files
from matinee.backends.aws.store import DynamoStore
from matinee.deploy import registry
from matinee.deploy import versions as deploy_versions
from matinee.deploy.cloud import Cloud, Note, Report, Tools, open_cloud, refuse
from matinee.deploy.preflight import check_region
from matinee.deploy.registry import KeptImage
from matinee.deploy.stack_changes import settle
from matinee.deploy.stack_state import StackState, describe
from matinee.errors import ConflictError, MatineeError, NotFoundError
from matinee.manifest import AwsRelease, ComponentManifest, Release, release_from_json, to_json
from matinee.names import NETWORK_STACK, Names, check_stage
from matinee.ports import Files, Store

Look = Callable[[Cloud, str], StackState | None]


@dataclass(frozen=True)
class CurrentState:
    """A stack is None where there is none. `network` is None too where the app has a network of its own."""

    network: StackState | None
    data: StackState | None
    app: StackState | None
    edge: StackState | None
    live: CurrentRelease
    images: Mapping[str, KeptImage]


def open_stage(names: Names, region: str, tools: Tools) -> Cloud:
    """Return the stage's cloud; `region` "" is the one of the environment or the profile.

    Raises UsageError for what can be no stage (`dev-data` would be another's stack) and for a region that there is not,
    BackendError without credentials.
    """
    check_stage(names.stage)
    settings = tools.settings._replace(region=region or tools.settings.region)
    if settings.region and not settings.endpoint:
        refuse(check_region(settings.region, _known_regions()))
    return open_cloud(names, settings, poll_s=tools.poll_s)


def _known_regions() -> list[str]:
    import boto3

    session = boto3.Session()
    return [
        r for partition in session.get_available_partitions() for r in session.get_available_regions("ecs", partition)
    ]


def look_and_settle(report: Report, *, may_wait: bool = True) -> Look:
    """Return a look that brings a stuck stack out of its state first, for what changes it."""
    return partial(_look_and_settle, report, may_wait)


def _look_and_settle(report: Report, may_wait: bool, cloud: Cloud, stack: str) -> StackState | None:
    return settle(cloud, stack, report, may_wait=may_wait)


def read_current_state(cloud: Cloud, look: Look = describe, *, shared_network: bool = True) -> CurrentState:
    """Return where a deployment starts: at most ten calls, three where nothing is deployed yet."""
    data = look(cloud, cloud.names.data_stack)
    return CurrentState(
        look(cloud, NETWORK_STACK) if shared_network else None,
        data,
        look(cloud, cloud.names.base),
        look(cloud, cloud.names.edge_stack),
        read_release(cloud) if data is not None else no_release(cloud),
        registry.images(cloud) if data is not None else {},
    )


# --- the history of releases ------------------------------------------------------------------------------------------
# The releases of a stage: what was live when, to go back to, and what people call each version.
#
# A short list is one document of the table; each release as a whole is a file in the bucket, because of its manifests.
# Both are written before the release itself, which is the one commit point: an entry with a number above the live one
# never went live.

Json = Any
KEPT_RELEASES = 20  # releases that can be gone back to
_KIND, _KEY = "deploy", "history"


@dataclass(frozen=True)
class PastComponent:
    """A component in a release. `image` is its digest."""

    name: str
    hash: str
    label: str
    image: str


@dataclass(frozen=True)
class Past:
    """A release that was live, or is. `note` says how it came about, as in "rollback of plan to v3".

    `functions` are function versions by predictor; None in what an older Matinee wrote.
    """

    number: int
    created_at: float
    by: str
    components: tuple[PastComponent, ...]
    images: tuple[str, ...] = ()  # digests of all images, the UI's too
    note: str = ""
    functions: Mapping[str, str] | None = None

    def component(self, name: str) -> PastComponent | None:
        """Return the component of that name."""
        return next((c for c in self.components if c.name == name), None)


@dataclass(frozen=True)
class History:
    """Releases, oldest first. `highest` has by component the largest number a version was ever called by."""

    releases: tuple[Past, ...] = ()
    highest: Mapping[str, int] = field(default_factory=dict)

    def with_release(self, past: Past) -> History:
        """Return the history with one release more, and no more than KEPT."""
        releases = [known for known in self.releases if known.number < past.number]
        numbers = {c.name: max(self.highest.get(c.name, 0), _number(c.label)) for c in past.components}
        return History((*releases, past)[-KEPT_RELEASES:], {**self.highest, **numbers})

    def live_at(self, number: int) -> History:
        """Return the history without what never went live."""
        return replace(self, releases=tuple(known for known in self.releases if known.number <= number))

    def label_of(self, component: ComponentManifest) -> str:
        """Return what this version is called: as before if it was here before, else the next of v1, v2, …"""
        for past in reversed(self.releases):
            known = past.component(component.name)
            if known and known.hash == component.hash:
                return known.label
        return f"v{self.highest.get(component.name, 0) + 1}"

    def before(self, live: Past, name: str = "") -> Past:
        """Return the newest release before `live` in which something (of one component) was different.

        Raises NotFoundError when there is none.
        """
        for past in reversed(self.releases):
            if past.number < live.number and _differs(past, live, name):
                return past
        what = f"version of {name}" if name else "release"
        raise NotFoundError(
            f"There is no {what} before the one that is live.", hint="`matinee versions` lists what there is."
        )

    def with_label(self, name: str, label: str) -> Past:
        """Return the newest release with this version of a component; NotFoundError names those there are."""
        found = [p for p in self.releases if (c := p.component(name)) and c.label == label]
        if found:
            return found[-1]
        known = list(dict.fromkeys(c.label for p in self.releases if (c := p.component(name))))
        raise NotFoundError(
            f"There is no version {label} of {name}.",
            hint=f"There is: {', '.join(known) or 'none'} (`matinee versions`).",
        )


def _number(label: str) -> int:
    return int(label[1:]) if label[1:].isdigit() else 0


def _differs(past: Past, live: Past, name: str) -> bool:
    if name:
        known, now = past.component(name), live.component(name)
        return known is not None and (now is None or known.hash != now.hash)
    return {(c.name, c.hash) for c in past.components} != {(c.name, c.hash) for c in live.components}


def history_document(store: Store) -> Json:
    """Return the stage's history as it is written, None if none is: what `record` replaces."""
    return store.document(_KIND, _KEY)


def history_of(written: Json) -> History:
    """Return a history from how it is written."""
    known = written or {}
    return History(tuple(map(_past_from_json, known.get("releases", []))), known.get("highest", {}))


def read_history(store: Store) -> History:
    """Return the stage's history."""
    return history_of(history_document(store))


def _past_from_json(data: Mapping[str, Json]) -> Past:
    components = tuple(PastComponent(**item) for item in data["components"])
    known = {field.name: data[field.name] for field in fields(Past) if field.name in data}
    return Past(**{**known, "components": components, "images": tuple(data["images"])})


def record_release(store: Store, files: Files, release: Release, *, before: Json, by: str, note: str = "") -> History:
    """Write down that this release is about to be live, and return the history with it.

    `before` is the history as it was when the deployment began: of two at once, one gets ConflictError.
    """
    history = history_of(before).with_release(past_of(release, by, note))
    if not store.swap_document(_KIND, _KEY, before, json.loads(json.dumps(asdict(history)))):
        raise ConflictError(
            f"Another deployment went live while release {release.number} was made.", hint="Run the command again."
        )
    files.put(_file(release.number), json.dumps(to_json(release)).encode(), media_type="application/json")
    _forget(files, history.releases)
    return history


def past_of(release: Release, by: str = "", note: str = "") -> Past:
    """Return a release as the history has it."""
    components = tuple(PastComponent(c.name, c.hash, c.label, c.image) for c in release.components)
    images = {image.rpartition("@")[2] for image in release.aws.images.values()}
    functions = dict(release.aws.functions)
    return Past(release.number, release.created_at, by, components, tuple(sorted(images)), note, functions)


def _forget(files: Files, releases: Sequence[Past]) -> None:
    """Delete the files of releases that are too old; one call a deployment, as there is one more each time."""
    oldest = releases[0].number - 1
    if oldest >= 1:
        files.delete([_file(oldest)])


def read_whole_release(files: Files, past: Past) -> Release:
    """Return a release as it was; NotFoundError when its file is gone."""
    return release_from_json(json.loads(files.read(_file(past.number))))


def _file(number: int) -> str:
    return f"releases/{number:06}.json"


def needed_images(history: History) -> set[str]:
    """Return the digests that the kept releases run."""
    return {digest for past in history.releases for digest in past.images}


def label_components(history: History, components: Iterable[ComponentManifest]) -> tuple[ComponentManifest, ...]:
    """Return the components with what their versions are called."""
    return tuple(replace(component, label=history.label_of(component)) for component in components)


def now() -> float:
    """Return the time, in epoch seconds."""
    return time.time()


# --- the current release ----------------------------------------------------------------------------------------------
# Reading what is live, and the one step that makes a release live, or takes it back.


@dataclass(frozen=True)
class CurrentRelease:
    """The stage's table and bucket, with what was live when it was looked at. None and empty before the first time.

    `written` is the history as it stands, `history` without what never went live: a release whose process was killed.
    """

    store: DynamoStore
    files: S3Files
    release: Release | None = None
    history: History = field(default_factory=History)
    written: History = field(default_factory=History)
    document: Json = None  # `written` as the table has it

    @property
    def number(self) -> int:
        """The live release's number, 0 before the first."""
        return self.release.number if self.release else 0

    @property
    def aws(self) -> AwsRelease:
        """What the live release says of AWS."""
        return self.release.aws if self.release else AwsRelease()

    @property
    def past(self) -> Past:
        """The live release as its history has it; NotFoundError when nothing is live."""
        if self.release is None:
            raise NotFoundError("Nothing is live on this stage yet.", hint="`matinee deploy` deploys it.")
        return past_of(self.release)


def no_release(cloud: Cloud) -> CurrentRelease:
    """Return what is live where there is no table yet."""
    return CurrentRelease(DynamoStore(cloud.session), S3Files(cloud.session))


def read_release(cloud: Cloud) -> CurrentRelease:
    """Return what is live."""
    empty = no_release(cloud)
    document, release = history_document(empty.store), empty.store.release()
    written = history_of(document)
    past = written.live_at(release.number) if release else History()
    return replace(empty, release=release, history=past, written=written, document=document)


def go_live(
    cloud: Cloud,
    live: CurrentRelease,
    release: Release,
    versions: Mapping[str, str],
    report: Report,
    *,
    by: str,
    note: str = "",
    share: float = 1.0,
) -> History:
    """Point the functions at their versions and put the release: from here on it serves.

    Raises ConflictError when another one went live meanwhile. When a step fails, what was live before goes on.
    """
    written = record_release(live.store, live.files, release, before=live.document, by=by, note=note)
    former = {name: deploy_versions.live_version(cloud, name) for name in versions}
    try:
        for name, version in versions.items():
            if former[name] != version:
                deploy_versions.point_alias(cloud, name, version, share=share, former=former[name])
        live.store.put_release(release)
    except BaseException:
        _take_back(cloud, former, versions, report)
        raise
    return written


def _take_back(cloud: Cloud, former: Mapping[str, str], versions: Mapping[str, str], report: Report) -> None:
    for name, version in former.items():
        if version and version != versions[name]:
            try:
                deploy_versions.point_alias(cloud, name, version)
            except MatineeError as error:
                report(Note(f"{name} could not be pointed back at version {version}: {error.message}", error.hint))


def record_url(store: DynamoStore, url: str) -> None:
    """Have the live release say where the app is open: known only after the release, the first time."""
    release = store.release()
    if release is None or not url or release.aws.url == url:
        return
    store.put_release(release.with_aws(replace(release.aws, url=url)))
