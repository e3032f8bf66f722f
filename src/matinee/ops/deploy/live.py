"""What is live: reading it, and the one step that makes a release live, or takes it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from matinee.backends.aws.files import S3Files
from matinee.backends.aws.store import DynamoStore
from matinee.errors import MatineeError, NotFoundError
from matinee.manifest import AwsRelease, Release
from matinee.ops.deploy import functions, history
from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.events import Note, Report
from matinee.ops.deploy.history import History, Past

Json = Any


@dataclass(frozen=True)
class Live:
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
        return history.past_of(self.release)


def nothing(cloud: Cloud) -> Live:
    """Return what is live where there is no table yet."""
    return Live(DynamoStore(cloud.session), S3Files(cloud.session))


def look(cloud: Cloud) -> Live:
    """Return what is live."""
    empty = nothing(cloud)
    document, release = history.document(empty.store), empty.store.release()
    written = history.of(document)
    past = written.live_at(release.number) if release else History()
    return replace(empty, release=release, history=past, written=written, document=document)


def go_live(
    cloud: Cloud,
    live: Live,
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
    written = history.record(live.store, live.files, release, before=live.document, by=by, note=note)
    former = {name: functions.live_version(cloud, name) for name in versions}
    try:
        for name, version in versions.items():
            if former[name] != version:
                functions.point(cloud, name, version, share=share, former=former[name])
        live.store.put_release(release)
    except BaseException:
        _take_back(cloud, former, versions, report)
        raise
    return written


def _take_back(cloud: Cloud, former: Mapping[str, str], versions: Mapping[str, str], report: Report) -> None:
    for name, version in former.items():
        if version and version != versions[name]:
            try:
                functions.point(cloud, name, version)
            except MatineeError as error:
                report(Note(f"{name} could not be pointed back at version {version}: {error.message}", error.hint))


def tell_url(store: DynamoStore, url: str) -> None:
    """Have the live release say where the app is open: known only after the release, the first time."""
    release = store.release()
    if release is None or not url or release.aws.url == url:
        return
    store.put_release(release.with_aws(replace(release.aws, url=url)))
