"""The stage's image repository: which images it has, by tag; signing in; and removing what no release needs.

A tag is a content hash and never moves (the repository is immutable), so what is there need not be pushed again.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from matinee.ops.deploy.cloud import Cloud

AT_ONCE = 100  # images that one BatchDeleteImage takes
_ABSENT = frozenset({"RepositoryNotFoundException"})


@dataclass(frozen=True)
class KeptImage:
    """An image of the repository. `pushed_at` is in epoch seconds."""

    tag: str
    digest: str
    pushed_at: float
    size_bytes: int = 0


@dataclass(frozen=True)
class SignIn:
    """How an engine signs in at the registry, for twelve hours."""

    registry: str
    username: str
    password: str


def images(cloud: Cloud) -> dict[str, KeptImage]:
    """Return the images by tag, {} when there is no repository yet; one call for a thousand."""
    found: dict[str, KeptImage] = {}
    token: dict[str, str] = {}
    while True:
        page = cloud.call(
            "ecr", "describe_images", absent=_ABSENT, repositoryName=cloud.names.base, maxResults=1000, **token
        )
        for image in (page or {}).get("imageDetails", []):
            at = image["imagePushedAt"].timestamp()
            for tag in image.get("imageTags", []):
                found[tag] = KeptImage(tag, image["imageDigest"], at, image.get("imageSizeInBytes", 0))
        if not (page or {}).get("nextToken"):
            return found
        token = {"nextToken": page["nextToken"]}


def repository_uri(cloud: Cloud) -> str:
    """Return the repository's address as AWS's services pull from it."""
    suffix = "amazonaws.com.cn" if cloud.region.startswith("cn-") else "amazonaws.com"
    return f"{cloud.account}.dkr.ecr.{cloud.region}.{suffix}/{cloud.names.base}"


def push_address(cloud: Cloud) -> str:
    """Return the repository's address as an engine pushes to it: an emulator is its own registry."""
    return f"{urlsplit(cloud.endpoint).netloc}/{cloud.names.base}" if cloud.endpoint else repository_uri(cloud)


def reference(cloud: Cloud, digest: str) -> str:
    """Return an image by its content, as templates and releases name it."""
    return f"{repository_uri(cloud)}@{digest}"


def sign_in(cloud: Cloud) -> SignIn:
    """Return how to sign in."""
    answer = cloud.call("ecr", "get_authorization_token")["authorizationData"][0]
    username, _, password = base64.b64decode(answer["authorizationToken"]).decode().partition(":")
    address = push_address(cloud).partition("/")[0]
    return SignIn(address, username, password)


def remove_unneeded(cloud: Cloud, kept: Mapping[str, KeptImage], needed: Collection[str], before: float) -> int:
    """Delete images whose digest is not needed and that were pushed before that time; return how many."""
    digests = {image.digest for image in kept.values() if image.digest not in needed and image.pushed_at < before}
    ids = [{"imageDigest": digest} for digest in sorted(digests)]
    for start in range(0, len(ids), AT_ONCE):
        cloud.call("ecr", "batch_delete_image", repositoryName=cloud.names.base, imageIds=ids[start : start + AT_ONCE])
    return len(ids)
