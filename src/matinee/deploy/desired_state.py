"""What a deployment is to reach: the app as it is on disk, its versions and images, and the stacks that follow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matinee.cost import Usage, bill_of
from matinee.deploy import current_state, registry
from matinee.deploy.cloud import UI_COMPONENT, Cloud, ImageMoved, Report, Tools, WantedImage, finding_of, refuse
from matinee.deploy.current_state import CurrentState
from matinee.deploy.preflight import check_names
from matinee.deploy.stack_state import StackSpec, StackState
from matinee.environments.inspect import InspectedComponent, inspect_app
from matinee.errors import BackendError, ComponentError, NotFoundError, UsageError
from matinee.manifest import AwsRelease, ComponentManifest, Release
from matinee.names import NETWORK_STACK, Names, check_stage
from matinee.project.load import load
from matinee.project.model import Project, details
from matinee.settings import PASSWORD
from matinee.stack import blueprint as stack_blueprint
from matinee.stack.blueprint import Blueprint, is_password_in_secrets_manager, problems, tags_of
from matinee.stack.limits import problems_of
from matinee.stack.templates import app_template, data_template, edge_template, network_template


@dataclass(frozen=True)
class Version:
    """A component's version: `before` "" if it is new, `after` "" if it goes."""

    component: str
    before: str
    after: str
    must_build: bool = False


# --- the app on disk --------------------------------------------------------------------------------------------------
# The app of one stage as it is on disk, ready to be deployed: inspected, its images named by their content.


@dataclass(frozen=True)
class App:
    """`project` has the stage's settings; `images` come with the manifests that go live, the UI's among them."""

    project: Project
    stage: str
    images: tuple[WantedImage, ...]

    @property
    def names(self) -> Names:
        """What everything of the stage is called."""
        return Names(self.project.name, self.stage)

    @property
    def components(self) -> tuple[ComponentManifest, ...]:
        """The manifests of the components, by their images' content."""
        return tuple(image.manifest for image in self.images if image.component != UI_COMPONENT)

    def blueprint(self, optional_secrets: Sequence[str] = ()) -> Blueprint:
        """Return what the templates are made from."""
        return Blueprint.of(self.project, self.stage, self.components, optional_secrets)

    def component(self, name: str) -> ComponentManifest:
        """Return the component of that name, or that holds the predictor of that name; NotFoundError names them."""
        return find_component(self.components, name)


def read_app(path: Path, stage: str, tools: Tools, report: Report, *, name: str = "", with_images: bool = True) -> App:
    """Read, inspect and check the app; AWS is not asked yet, and an engine for images last.

    `name` is a component or predictor that must be in it. Without `with_images` no engine is needed, and images have no
    tags. Raises ProjectError, ComponentError for a component that does not load, UsageError for what AWS has no place
    for, NotFoundError for a name that is not in the app.
    """
    check_stage(stage)
    project = load(path).for_stage(stage)
    inspected = inspect_app(project, lambda component, line: report(ImageMoved(component, line)))
    check_loads(inspected)
    manifests = tuple(item.manifest for item in inspected)
    if name:
        find_component(manifests, name)
    _check(project, stage, manifests)
    if not with_images:
        return App(project, stage, tuple(WantedImage(manifest.name, "", manifest) for manifest in manifests))
    blueprint = Blueprint.of(project, stage, manifests)
    return App(project, stage, tools.images.plan(project, inspected, blueprint.architecture))


def find_component(components: Sequence[ComponentManifest], name: str) -> ComponentManifest:
    """Return the component of that name, or that holds the predictor of that name; NotFoundError names them."""
    for component in components:
        if component.name == name or any(p.name == name for p in component.predictors):
            return component
    known = ", ".join(component.name for component in components)
    raise NotFoundError(f"There is no component or predictor {name!r}.", hint=f"There is: {known}.")


def check_loads(inspected: Sequence[InspectedComponent]) -> None:
    """Raise ComponentError for the first component that does not load."""
    for item in inspected:
        trouble = item.manifest.trouble
        if trouble:
            name = item.component.name
            raise ComponentError(f"{name}: {trouble.message}", hint=trouble.hint, file=trouble.file, line=trouble.line)


def _check(project: Project, stage: str, manifests: Sequence[ComponentManifest]) -> None:
    predictors = [p for manifest in manifests for p in manifest.predictors]
    findings = check_names(Names(project.name, stage), [p.name for p in predictors])
    findings += map(finding_of, problems(project.aws.ui, predictors))
    refuse(findings)
    blueprint = Blueprint.of(project, stage, manifests)
    # The network's is the same for all apps.
    templates = (data_template(blueprint), app_template(blueprint), edge_template(blueprint))
    region = blueprint.aws.region
    refuse([finding_of(problem) for template in templates if template for problem in problems_of(template, region)])


def secrets_of(app: App) -> Mapping[str, str]:
    """Return the secrets that the stage must have, with who needs each."""
    blueprint = app.blueprint()
    elsewhere = {PASSWORD} if is_password_in_secrets_manager(blueprint) else set()
    users = dict.fromkeys((name for name in blueprint.ui_secrets if name not in elsewhere), "the UI")
    for predictor in blueprint.predictors:
        users |= dict.fromkeys(predictor.resources.secrets, predictor.name)
    return users


# --- versions and images to deploy ------------------------------------------------------------------------------------
# Versions with their labels and images with their digests, seen from where the stage is.

Json = Any
UNBUILT = "sha256:" + "0" * 64  # the digest of an image that a plan does not build


@dataclass(frozen=True)
class DesiredState:
    """`blueprint` has labelled components. `missing` are images that are not in the repository yet."""

    app: App
    blueprint: Blueprint
    missing: tuple[WantedImage, ...]
    versions: tuple[Version, ...]

    @property
    def components(self) -> tuple[ComponentManifest, ...]:
        """The components with what their versions are called."""
        return self.blueprint.components


def plan_desired_state(app: App, current: CurrentState, optional_secrets: tuple[str, ...] = ()) -> DesiredState:
    """Return what is to be, seen from where the stage is."""
    blueprint = app.blueprint(optional_secrets)
    components = current_state.label_components(current.live.written, blueprint.components)
    missing = tuple(image for image in app.images if image.tag not in current.images)
    return DesiredState(
        app, replace(blueprint, components=components), missing, _versions(current, components, missing)
    )


def _versions(
    current: CurrentState, components: tuple[ComponentManifest, ...], missing: tuple[WantedImage, ...]
) -> tuple[Version, ...]:
    live = {c.name: c.label for c in current.live.release.components} if current.live.release else {}
    to_build = {image.component for image in missing}
    new = [Version(c.name, live.get(c.name, ""), c.label, c.name in to_build) for c in components]
    removed = [Version(name, label, "") for name, label in live.items() if name not in {c.name for c in components}]
    return (*new, *removed)


def digests(desired: DesiredState, current: CurrentState, pushed: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of all images by component: those just pushed, and those that were there."""
    known = {
        image.component: current.images[image.tag].digest
        for image in desired.app.images
        if image not in desired.missing
    }
    return {**{image.component: UNBUILT for image in desired.missing}, **known, **pushed}


def with_dropped(blueprint: Blueprint, current: CurrentState) -> tuple[Blueprint, Mapping[str, str]]:
    """Return the blueprint with the predictors that are live and are not in it, and the images of components that went.

    A dropped predictor answers until the new release is live: its function, its workers and their roles stay so long.
    """
    release = current.live.release
    if release is None or current.app is None or release.aws.stack != current.app.id:
        return blueprint, {}
    names = {predictor.name for predictor in blueprint.predictors}
    dropped = {c.name: tuple(p for p in c.predictors if p.name not in names) for c in release.components}
    if not any(dropped.values()):
        return blueprint, {}
    remaining = [replace(c, predictors=(*c.predictors, *dropped.pop(c.name, ()))) for c in blueprint.components]
    former = [replace(c, predictors=dropped[c.name]) for c in release.components if dropped.get(c.name)]
    images = {c.name: release.aws.images[c.name] for c in former}
    return replace(blueprint, components=(*remaining, *former)), images


def references(cloud: Cloud, digests: Mapping[str, str]) -> dict[str, str]:
    """Return images by component as templates name them."""
    return {component: registry.reference(cloud, digest) for component, digest in digests.items()}


def stack_inputs(
    cloud: Cloud, desired: DesiredState, network: StackState | None, data: StackState | None
) -> dict[str, str] | None:
    """Return the app's parameters that come from other stacks; None while one of these is not there."""
    blueprint = desired.blueprint
    if data is None or (network is None and not blueprint.aws.vpc):
        return None
    found = network_inputs(cloud, blueprint, network)
    if stack_blueprint.is_password_in_secrets_manager(blueprint):
        if stack_blueprint.PASSWORD_SECRET not in data.outputs:
            return None
        found[stack_blueprint.PASSWORD_SECRET] = data.outputs[stack_blueprint.PASSWORD_SECRET]
    return found


def monthly_usd(blueprint: Blueprint) -> float:
    """Return what the stage costs a month with a few people's use; `matinee cost` says for what."""
    return round(bill_of(blueprint, Usage()).total_usd, 2)


def content(desired: DesiredState, spec: StackSpec, stack_id: str) -> str:
    """Return the hash of all that a release is made of: the same content need not go live twice.

    A stack that was made anew has another id, and nothing in it is live yet.
    """
    parts = {
        "stack": stack_id,
        "template": spec.mark,
        "parameters": dict(spec.parameters),
        "components": [component.hash for component in desired.components],
        "details": details(desired.app.project, stack_blueprint.APP_FOLDER),
        "title": desired.app.project.title,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def release_of(
    cloud: Cloud,
    desired: DesiredState,
    current: CurrentState,
    *,
    digests: Mapping[str, str],
    functions: Mapping[str, str],
    definitions: Mapping[str, str],
    mark: str,
    stack_id: str,
    url: str,
) -> Release:
    """Return the release that is to go live."""
    components = tuple(replace(c, image=digests[c.name]) for c in desired.components)
    aws = AwsRelease(
        stage=cloud.names.stage,
        region=cloud.region,
        account=cloud.account,
        bucket=cloud.bucket,
        functions=dict(functions),
        definitions=dict(definitions),
        images=references(cloud, digests),
        url=url,
        content=mark,
        stack=stack_id,
        monthly_usd=monthly_usd(desired.blueprint),
    )
    return Release(
        app=cloud.names.app,
        title=desired.app.project.title,
        number=current.live.number + 1,
        created_at=current_state.now(),
        components=components,
        details=details(desired.app.project, stack_blueprint.APP_FOLDER),
    ).with_aws(aws)


# --- specifications of the stacks -------------------------------------------------------------------------------------
# The four stacks as they are to be: each template with its parameters, from the app and what AWS has already.

ZONES = 3
FORMAT_TAG = "matinee:network-format"
NETWORK_FORMAT = 1  # goes up with every change of the network's template: see `is_newer_network`
_PREFIX_LIST = "com.amazonaws.global.cloudfront.origin-facing"


def is_newer_network(network: StackState | None) -> bool:
    """Whether a newer Matinee made the shared network: an older one leaves it as it is."""
    made_by = network.tags.get(FORMAT_TAG, "") if network else ""
    return made_by.isdigit() and int(made_by) > NETWORK_FORMAT


def network_spec(cloud: Cloud, tools: Tools, now: StackState | None) -> StackSpec:
    """Return the shared network; the zones it was made in are kept, or its subnets would move."""
    zones = (
        now.parameters[stack_blueprint.ZONES].split(",")
        if now and now.parameters.get(stack_blueprint.ZONES)
        else _zones(cloud)
    )
    template = tools.adapt(NETWORK_STACK, network_template(len(zones)))
    tags = {"matinee:network": "shared", FORMAT_TAG: str(NETWORK_FORMAT)}
    return StackSpec(NETWORK_STACK, template, {stack_blueprint.ZONES: ",".join(zones)}, tags)


def _zones(cloud: Cloud) -> list[str]:
    answer = cloud.call(
        "ec2",
        "describe_availability_zones",
        Filters=[{"Name": "state", "Values": ["available"]}, {"Name": "zone-type", "Values": ["availability-zone"]}],
    )
    usable = [
        z["ZoneName"]
        for z in answer["AvailabilityZones"]
        if z.get("ZoneId") not in stack_blueprint.ZONES_WITHOUT_ORIGINS
    ]
    return sorted(usable)[:ZONES]


def data_spec(cloud: Cloud, tools: Tools, blueprint: Blueprint) -> StackSpec:
    """Return what is kept; what a destroyed stage left behind is taken into it."""
    name, template = cloud.names.data_stack, data_template(blueprint)
    # What exists is found by a name that is written out: one that refers to a parameter would be made anew, and fail.
    template["Resources"]["Bucket"]["Properties"]["BucketName"] = cloud.bucket
    return StackSpec(
        name, tools.adapt(name, template), {stack_blueprint.BUCKET: cloud.bucket}, tags_of(blueprint), adopts=True
    )


def network_inputs(cloud: Cloud, blueprint: Blueprint, network: StackState | None) -> dict[str, str]:
    """Return the app's parameters of the network: the shared one's, or the one that `[aws]` names."""
    aws = blueprint.aws
    if aws.vpc:
        found = cloud.call("ec2", "describe_vpcs", on=aws.vpc, VpcIds=[aws.vpc])["Vpcs"]
        return {
            stack_blueprint.VPC: aws.vpc,
            stack_blueprint.VPC_CIDR: found[0]["CidrBlock"],
            stack_blueprint.SUBNETS: ",".join(aws.subnets),
        }
    assert network is not None, "the network is made before the app"
    return {
        name: network.outputs[name] for name in (stack_blueprint.VPC, stack_blueprint.VPC_CIDR, stack_blueprint.SUBNETS)
    }


def app_spec(
    cloud: Cloud,
    tools: Tools,
    blueprint: Blueprint,
    now: StackState | None,
    stack_inputs: Mapping[str, str],
    images: Mapping[str, str],
) -> StackSpec:
    """Return what runs. `facts`: outputs of the network and the data; `images`: references by component, the UI's too.

    The blueprint's components have the labels of their versions. Raises UsageError for another network than it is in.
    """
    _check_network(blueprint, now, stack_inputs)
    known: dict[str, str] = {
        **stack_inputs,
        stack_blueprint.BUCKET: cloud.bucket,
        stack_blueprint.image_parameter(UI_COMPONENT): images[UI_COMPONENT],
    }
    for component in blueprint.components:
        known[stack_blueprint.image_parameter(component.name)] = images[component.name]
        known[stack_blueprint.label_parameter(component.name)] = component.label
    if blueprint.aws.edge == "cloudfront":
        known[stack_blueprint.PREFIX_LIST] = (
            now.parameters.get(stack_blueprint.PREFIX_LIST) if now else ""
        ) or _prefix_list(cloud)
    name = cloud.names.base
    parameters = {one.name: known[one.name] for one in stack_blueprint.app_parameters(blueprint)}
    return StackSpec(name, tools.adapt(name, app_template(blueprint)), parameters, tags_of(blueprint))


def _check_network(blueprint: Blueprint, now: StackState | None, stack_inputs: Mapping[str, str]) -> None:
    """Load balancer and security groups cannot move to another network, and CloudFormation would find out half-way."""
    before = now.parameters.get(stack_blueprint.VPC) if now else None
    if before and before != stack_inputs[stack_blueprint.VPC]:
        stage = blueprint.names.stage
        raise UsageError(
            f"The stage {stage} is in the network {before} and cannot move to {stack_inputs[stack_blueprint.VPC]}.",
            hint=f"Leave `vpc` under [aws] as it was, or make the stage anew: matinee destroy --stage {stage} "
            "(its data is kept), then deploy it.",
        )


def _prefix_list(cloud: Cloud) -> str:
    answer = cloud.call(
        "ec2", "describe_managed_prefix_lists", Filters=[{"Name": "prefix-list-name", "Values": [_PREFIX_LIST]}]
    )
    found = [item["PrefixListId"] for item in answer.get("PrefixLists", []) if item["PrefixListName"] == _PREFIX_LIST]
    if found:
        return str(found[0])
    if cloud.endpoint:
        return "pl-00000000"  # emulators know no such list, and have no CloudFront in front either
    raise BackendError(
        f"The list of CloudFront's addresses is not to be had in {cloud.region}.",
        hint='Use edge = "alb" under [aws], or another region.',
    )


def edge_spec(cloud: Cloud, tools: Tools, blueprint: Blueprint, app: StackState) -> StackSpec | None:
    """Return the public address; None where the load balancer is public itself."""
    template = edge_template(blueprint)
    if template is None:
        return None
    name = cloud.names.edge_stack
    adapted = tools.adapt(name, template)
    if not adapted.get("Resources"):
        return None  # an emulator takes nothing of it
    known = {**app.outputs, stack_blueprint.BUCKET: cloud.bucket}
    parameters = {one.name: known[one.name] for one in stack_blueprint.edge_parameters(blueprint)}
    return StackSpec(name, adapted, parameters, tags_of(blueprint))


def preview_specs(tools: Tools, blueprint: Blueprint) -> tuple[StackSpec, ...]:
    """Return the app's stack and the edge's without parameters: enough to say what they will make."""
    names = blueprint.names
    app = StackSpec(names.base, tools.adapt(names.base, app_template(blueprint)))
    template = edge_template(blueprint)
    edge = tools.adapt(names.edge_stack, template) if template else {}
    return (app, StackSpec(names.edge_stack, edge)) if edge.get("Resources") else (app,)
