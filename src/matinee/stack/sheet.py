"""A template while it is made: parameters, resources, outputs; and its tags, put on everything that takes tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from troposphere import AWSObject, Output, Parameter, Sub, Tags, Template

from matinee.stack.blueprint import Blueprint
from matinee.stack.parameters import Told

Json = Any
KEPT = "RetainExceptOnCreate"  # when its stack goes, but not when a first try fails
RETAINED = "Retain"
NAME_TAG = "matinee:name"  # one tag that says app and stage: a budget can filter by one alone


class Sheet:
    """What the subjects write to, one after another."""

    def __init__(self, description: str, told: Iterable[Told], tags: Mapping[str, str]) -> None:
        self._template = Template(Description=description)
        self._template.set_version("2010-09-09")
        self._tags = dict(tags)
        for one in told:
            self._template.add_parameter(Parameter(one.name, Type=one.type, Description=one.description))

    def add(self, resource: Any) -> Any:
        """Add a resource, tagged if its kind takes tags, and return it."""
        if isinstance(resource, AWSObject) and self._tags:
            kind = resource.props.get("Tags", (None,))[0]
            if kind is dict:
                resource.Tags = dict(self._tags)
            elif kind is not None:
                resource.Tags = Tags(**self._tags)
        return self._template.add_resource(resource)

    def give(self, name: str, value: Any, description: str) -> None:
        """Add an output."""
        self._template.add_output(Output(name, Value=value, Description=description))

    def done(self) -> dict[str, Json]:
        """Return the template as JSON values."""
        made: dict[str, Json] = self._template.to_dict()
        return made


def tags_of(b: Blueprint) -> dict[str, str]:
    """Return the tags of everything of a stage: the app's own names, and what `[aws.tags]` adds."""
    own = {"matinee:app": b.names.app, "matinee:stage": b.names.stage, NAME_TAG: b.names.base}
    return {**own, **b.aws.tags}


def said(text: str) -> Any:
    """Return a text with `${AWS::Region}` and the like as what CloudFormation fills in."""
    return Sub(text) if "${" in text else text


def arn(service: str, resource: str, *, region: str = "${AWS::Region}", account: str = "${AWS::AccountId}") -> str:
    """Return an ARN with what CloudFormation fills in."""
    return f"arn:${{AWS::Partition}}:{service}:{region}:{account}:{resource}"
