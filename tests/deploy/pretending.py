"""What stands in for engine and compute on the emulator: images that are manifests only, functions that answer."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matinee.deploy.cloud import UI_COMPONENT, Cloud, ImageMoved, Tools, WantedImage
from matinee.manifest import ComponentManifest
from matinee.ports import Invocation

# What MiniStack has no provisioner for: `drop` takes these out of a template, with what names them.
NOT_TAKEN = ("AWS::ApplicationAutoScaling::", "AWS::Batch::", "AWS::Budgets::", "AWS::CloudFront::")


def drop(_stack: str, template: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the template without resources that the emulator does not take, nor outputs that speak of them."""
    gone = {name for name, r in template["Resources"].items() if r["Type"].startswith(NOT_TAKEN)}
    resources = {name: r for name, r in template["Resources"].items() if name not in gone}
    while bad := {name for name, r in resources.items() if names_one_of(r, gone)}:
        gone |= bad
        resources = {name: r for name, r in resources.items() if name not in bad}
    outputs = {name: o for name, o in template.get("Outputs", {}).items() if not names_one_of(o, gone)}
    return {**template, "Resources": resources, "Outputs": outputs}


def names_one_of(part: Any, gone: set[str]) -> bool:
    text = json.dumps(part)
    return any(f'"{name}"' in text or f"${{{name}." in text for name in gone)


@dataclass
class PretendImages:
    """Puts a manifest for each image; its digest follows from its tag."""

    pushed: list[str] = field(default_factory=list)

    def plan(self, project, inspected, architecture_of) -> tuple[WantedImage, ...]:
        found = [
            WantedImage(item.manifest.name, f"{item.manifest.name}-{item.manifest.hash}", item.manifest)
            for item in inspected
        ]
        ui = hashlib.sha256(json.dumps(project.title).encode()).hexdigest()[:16]
        assert {architecture_of(image.component) for image in found} <= {"arm64", "x86_64"}
        return (*found, WantedImage(UI_COMPONENT, f"{UI_COMPONENT}-{ui}", ComponentManifest(UI_COMPONENT, ui)))

    def push(self, wanted: Sequence[WantedImage], cloud: Cloud, report) -> dict[str, str]:
        digests = {}
        for image in wanted:
            manifest = json.dumps({"schemaVersion": 2, "config": {"digest": image.tag}, "layers": []})
            put = cloud.call(
                "ecr", "put_image", repositoryName=cloud.names.base, imageManifest=manifest, imageTag=image.tag
            )
            digests[image.component] = put["image"]["imageId"]["imageDigest"]
            self.pushed.append(image.component)
            report(ImageMoved(image.component, "pushed"))
        return digests


@dataclass
class PretendInvoker:
    """Answers for functions: `answers[name]` is a result or an exception's name; pokes are remembered."""

    qualifier: str
    answers: Mapping[str, Any]
    calls: list[tuple[str, str]]
    on_poke: Callable[[str], None]

    def invoke(self, function, payload, *, context=None, log_tail=False) -> Invocation:
        self.calls.append((function, self.qualifier))
        answer = self.answers.get(function, "")
        if isinstance(answer, Exception):
            error = {"errorType": type(answer).__name__, "errorMessage": str(answer), "stackTrace": []}
            return Invocation(json.dumps(error).encode(), type(answer).__name__)
        return Invocation(json.dumps(answer).encode())

    def poke(self, function, payload=b"{}") -> None:
        self.on_poke(json.loads(payload)["predictor"])


@dataclass
class Pretend:
    """The tools of a test, and what was seen through them."""

    endpoint: str
    region: str
    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    images: PretendImages = field(default_factory=PretendImages)
    worker: Callable[[Cloud, str], None] = lambda _cloud, _predictor: None
    more: dict[str, Any] = field(default_factory=dict)  # resources of the app's stack beyond its own
    edge: dict[str, Any] = field(default_factory=dict)  # what stands in for the edge's

    @property
    def tools(self) -> Tools:
        from matinee.settings import AwsSettings

        settings = AwsSettings(region=self.region, endpoint=self.endpoint)
        return Tools(self.images, self.invoker_at, self.adapt, settings, poll_s=0.02)

    def adapt(self, stack: str, template: Mapping[str, Any]) -> Mapping[str, Any]:
        adapted = drop(stack, template)
        if stack.endswith("-edge") and self.edge:
            return {**adapted, "Resources": self.edge, "Outputs": {"Url": {"Value": "https://app.example.com"}}}
        is_app = "UiService" in adapted["Resources"]
        return {**adapted, "Resources": {**adapted["Resources"], **(self.more if is_app else {})}}

    def invoker_at(self, cloud: Cloud, qualifier: str) -> PretendInvoker:
        def poked(predictor: str) -> None:
            threading.Thread(target=self.worker, args=(cloud, predictor), daemon=True).start()

        return PretendInvoker(qualifier, self.answers, self.calls, poked)
