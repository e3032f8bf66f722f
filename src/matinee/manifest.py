"""What the rest of the system knows of the predictors, as JSON; and the release: what is live at one moment.

Made by inspecting each component in its own environment (`matinee.environments`), so nobody else imports an algorithm.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

Json = Any


# A keyword of the parameters of a function whose payload is its `event` alone: "handler" for a plain Lambda handler,
# "image" for an image that exists, whose command nobody changes.
PLAIN = "x-lambda"


def _resource(default: Any, kind: str, low: float | None = None, high: float | None = None) -> Any:
    """Declare a resource with what `matinee.toml` may say of it: bounds are Lambda's where both kinds have them."""
    return field(default=default, metadata={"kind": kind, "low": low, "high": high})


@dataclass(frozen=True)
class Resources:
    """What one predictor may use. Defaults are the decorators'; `matinee.toml` overrides them."""

    memory_mb: int = _resource(512, "whole", 128, 122_880)
    timeout_s: float = _resource(30.0, "number", 0.1, 1_209_600)
    cpu: float = _resource(0.25, "number", 0.1, 64)  # vCPU; batch only: a Lambda's CPU follows its memory
    retries: int = _resource(0, "whole", 0, 100)
    max_workers: int = _resource(1, "whole", 1, 1000)
    # Realtime, processes at once: 0 = the machine's cores locally, the account's limit on AWS.
    concurrency: int = _resource(0, "whole", 0, 10_000)
    provisioned: int = _resource(0, "whole", 0, 10_000)  # realtime on AWS: processes kept warm, paid by the hour
    gpu: int = _resource(0, "whole", 0, 8)
    schedule: str = _resource("", "text")
    timezone: str = _resource("", "text")  # of the schedule; "" = UTC
    secrets: tuple[str, ...] = _resource((), "texts")
    environment: dict[str, str] = field(default_factory=dict, metadata={"kind": "table"})  # more variables
    # On AWS: {"actions": […], "resources": […]} of its own.
    permissions: tuple[dict[str, list[str]], ...] = _resource((), "list")


@dataclass(frozen=True)
class PredictorManifest:
    """One predictor. `parameters` is an object schema, `result` any schema (JSON Schema 2020-12 with `x-matinee`)."""

    name: str
    kind: Literal["realtime", "batch"]
    component: str
    doc: str
    parameters: dict[str, Json]
    result: dict[str, Json]
    resources: Resources
    examples: tuple[dict[str, Json], ...] = ()
    calls: tuple[str, ...] = ()  # predictors it calls: permissions follow from it

    @property
    def plain(self) -> str:
        """Return "handler" or "image" if it gets its event as it is, "" for a predictor."""
        return str(self.parameters.get(PLAIN, ""))


_PLAIN_DOC = {
    "handler": "A Lambda handler, taken as it is: it gets the event, and what it returns is shown.",
    "image": "An image that exists, taken as it is: it gets the event, and what it returns is shown.",
}


def plain_predictor(
    component: str, kind: Literal["handler", "image"], doc: str = "", calls: tuple[str, ...] = ()
) -> PredictorManifest:
    """Return the realtime predictor that a plain handler or an image is: it takes any JSON object.

    It has its component's name, with `_` where that has `-`. `doc` is the handler's own docstring.
    """
    event = {"type": "object", "title": "Event", "description": "The JSON object the function is called with."}
    parameters = {
        "type": "object",
        "properties": {"event": event},
        "required": ["event"],
        "additionalProperties": False,
        PLAIN: kind,
    }
    name = component.replace("-", "_")
    return PredictorManifest(
        name, "realtime", component, doc or _PLAIN_DOC[kind], parameters, {}, Resources(), calls=calls
    )


@dataclass(frozen=True)
class Trouble:
    """Why a component could not be inspected."""

    message: str
    hint: str = ""
    file: str = ""
    line: int = 0


@dataclass(frozen=True)
class ComponentManifest:
    """One component as inspected. `hash` is its version by content; `label` what people say ("v7")."""

    name: str
    hash: str
    label: str = ""
    predictors: tuple[PredictorManifest, ...] = ()
    trouble: Trouble | None = None
    image: str = ""  # digest, on AWS


@dataclass(frozen=True)
class AwsRelease:
    """What a release says of AWS, stored as its `details["aws"]`; all is empty for an app that was never deployed.

    `functions` has the version that a predictor's alias names, `definitions` the ARN of its task definition (both by
    predictor), `images` references by component. `content` marks what the stack was made of, `stack` is its id.
    """

    stage: str = ""
    region: str = ""
    account: str = ""
    bucket: str = ""
    functions: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    url: str = ""
    content: str = ""
    stack: str = ""
    monthly_usd: float | None = None


@dataclass(frozen=True)
class Release:
    """What is live: per component its version and manifest. Written last, read by everybody."""

    app: str
    title: str
    number: int
    created_at: float
    components: tuple[ComponentManifest, ...] = ()
    details: dict[str, Json] = field(default_factory=dict)  # of the app: description, theme, pages

    def predictor(self, name: str) -> PredictorManifest | None:
        """Return the predictor of that name."""
        return next((p for p in self.predictors if p.name == name), None)

    @property
    def predictors(self) -> tuple[PredictorManifest, ...]:
        """All predictors, in the order of their components."""
        return tuple(p for c in self.components for p in c.predictors)

    @property
    def aws(self) -> AwsRelease:
        """What it says of AWS; what a newer version of Matinee says beside it is passed over."""
        known = {name: value for name, value in (self.details.get("aws") or {}).items() if name in _OF_AWS}
        return AwsRelease(**known)

    def with_aws(self, aws: AwsRelease) -> Release:
        """Return it with this to say of AWS."""
        return replace(self, details={**self.details, "aws": asdict(aws)})

    def component_of(self, predictor: str) -> ComponentManifest | None:
        """Return the component that holds the predictor."""
        return next((c for c in self.components if any(p.name == predictor for p in c.predictors)), None)


_OF_AWS = {item.name for item in fields(AwsRelease)}


def to_json(value: Release | ComponentManifest | PredictorManifest) -> dict[str, Json]:
    """Return the value as JSON types (tuples become lists when dumped)."""
    return asdict(value)


def predictor_from_json(data: dict[str, Json]) -> PredictorManifest:
    """Return the predictor that `to_json` wrote."""
    resources: dict[str, Json] = {k: tuple(v) if isinstance(v, list) else v for k, v in data["resources"].items()}
    return PredictorManifest(
        **{
            **data,
            "resources": Resources(**resources),
            "examples": tuple(data["examples"]),
            "calls": tuple(data["calls"]),
        }
    )


def component_from_json(data: dict[str, Json]) -> ComponentManifest:
    """Return the component that `to_json` wrote."""
    trouble = Trouble(**data["trouble"]) if data.get("trouble") else None
    predictors = tuple(map(predictor_from_json, data["predictors"]))
    return ComponentManifest(**{**data, "trouble": trouble, "predictors": predictors})


def release_from_json(data: dict[str, Json]) -> Release:
    """Return the release that `to_json` wrote."""
    return Release(**{**data, "components": tuple(map(component_from_json, data["components"]))})
