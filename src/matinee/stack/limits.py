"""What only AWS refuses: characters, lengths, sizes and regions, checked before anything is made.

    problems_of(template, region)      everything AWS would refuse of a template, as errors with a hint

Three sources: `limits.json`, which `scripts/limits.py` makes of CloudFormation's resource schemas and botocore's
service models; the rules below, which only AWS's documentation has, each with its page; and the quotas of a stack.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from matinee.errors import ProjectError
from matinee.names import partition_of
from matinee.project.aws import TAG_TEXT, TAG_WORDS

Json = Any
_CFN = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"
_IAM = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"
_TAGS = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html"
_GROUP = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html"
_LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"
_BUCKET = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"
_CLOUDFRONT = "https://docs.aws.amazon.com/cloudfront/latest/APIReference/"
_BATCH = "https://docs.aws.amazon.com/batch/latest/APIReference/"
_ECS = "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/"

MOST_OF = {"Resources": 500, "Parameters": 200, "Outputs": 200}  # of one stack
MOST_TEMPLATE_BYTES = 1_000_000  # of one that is uploaded
MOST_DESCRIPTION_BYTES = 1024
MOST_PARAMETER_BYTES = 4096
MOST_INLINE_POLICY, MOST_TRUST_POLICY = 10_240, 2048  # characters, white space not counted
MOST_ENVIRONMENT_BYTES = 4096  # of a function
MOST_TASK_DEFINITION_BYTES = 65_536
MOST_TAGS = 50


@dataclass(frozen=True)
class Rule:
    """What AWS takes of one string. `words` describe the pattern to people; 0 = no limit."""

    path: str  # `*` is an item of a list, `{}` a value of a map, `{key}` its key
    pattern: str = ""
    shortest: int = 0
    longest: int = 0
    words: str = ""
    page: str = ""

    def refusal(self, text: str) -> str:
        """Return what AWS takes instead of this text, "" if it takes it."""
        if len(text) < self.shortest:
            return f"at least {self.shortest} characters"
        if self.longest and len(text) > self.longest:
            return f"at most {self.longest:,} characters, and these are {len(text):,}"
        if self.pattern and not re.search(self.pattern, text):
            return self.words or f"only what fits {self.pattern}"
        return ""


_TAG_KEY = rf"^(?![aA][wW][sS]:){TAG_TEXT[1:]}"
_TAG_KEY_WORDS = f"{TAG_WORDS}, not beginning with aws:"
_RULE_TEXT = r"^[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]*\Z"
_RULE_WORDS = "unaccented letters, digits, spaces and ._-:/()#,@[]+=&;{}!$* (no apostrophe)"
_NAME = r"^[a-zA-Z0-9][a-zA-Z0-9_-]*\Z"
_NAME_WORDS = "letters, digits, hyphens and underscores, a letter or digit first"
_FUNCTION_RESERVED = (  # variables that Lambda itself sets; a template that names one is refused
    "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
)  # fmt: skip


def _of_group(path: str) -> Rule:
    return Rule(path, _RULE_TEXT, 0, 255, _RULE_WORDS, _GROUP)


# Rules that only the documentation has, by type; those of `*` are for every type.
DOCUMENTED: Mapping[str, tuple[Rule, ...]] = {
    "*": (
        Rule("Tags/*/Key", _TAG_KEY, 1, 128, _TAG_KEY_WORDS, _TAGS),
        Rule("Tags/*/Value", TAG_TEXT, 0, 256, TAG_WORDS, _TAGS),
        Rule("Tags/{key}", _TAG_KEY, 1, 128, _TAG_KEY_WORDS, _TAGS),
        Rule("Tags/{}", TAG_TEXT, 0, 256, TAG_WORDS, _TAGS),
    ),
    "AWS::EC2::SecurityGroup": (
        _of_group("GroupDescription"),
        _of_group("SecurityGroupIngress/*/Description"),
        _of_group("SecurityGroupEgress/*/Description"),
    ),
    "AWS::EC2::SecurityGroupIngress": (_of_group("Description"),),
    "AWS::EC2::SecurityGroupEgress": (_of_group("Description"),),
    "AWS::Lambda::Function": (
        Rule(
            "Environment/Variables/{key}",
            rf"^(?!(?:{'|'.join(_FUNCTION_RESERVED)})\Z)[a-zA-Z][a-zA-Z0-9_]+\Z",
            words="names of letters, digits and underscores that Lambda does not set itself",
            page=_LAMBDA,
        ),
    ),
    "AWS::DynamoDB::Table": (
        Rule(
            "TableName",
            r"^[a-zA-Z0-9_.-]+\Z",
            3,
            255,
            "letters, digits and _ . -",
            "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html",
        ),
    ),
    "AWS::S3::Bucket": (
        Rule(
            "BucketName",
            r"^(?!xn--|sthree-|amzn-s3-demo-)(?!.*(?:-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)\Z)(?!.*\.\.)"
            r"[a-z0-9][a-z0-9.-]*[a-z0-9]\Z",
            3,
            63,
            "small letters, digits and hyphens, with none of S3's own beginnings and endings",
            _BUCKET,
        ),
    ),
    "AWS::CloudFront::Distribution": (
        Rule("DistributionConfig/Comment", longest=128, page=_CLOUDFRONT + "API_DistributionConfig.html"),
    ),
    "AWS::CloudFront::OriginAccessControl": (
        Rule("OriginAccessControlConfig/Name", longest=64, page=_CLOUDFRONT + "API_OriginAccessControlConfig.html"),
    ),
    "AWS::CloudFront::VpcOrigin": (
        Rule("VpcOriginEndpointConfig/Name", longest=64, page=_CLOUDFRONT + "API_VpcOriginEndpointConfig.html"),
    ),
    "AWS::Batch::JobQueue": (
        Rule("JobQueueName", _NAME, 1, 128, _NAME_WORDS, _BATCH + "API_CreateJobQueue.html"),
    ),
    "AWS::Batch::JobDefinition": (
        Rule("JobDefinitionName", _NAME, 1, 128, _NAME_WORDS, _BATCH + "API_RegisterJobDefinition.html"),
    ),
    "AWS::ECS::Cluster": (
        Rule("ClusterName", _NAME, 1, 255, _NAME_WORDS, _ECS + "API_CreateCluster.html"),
    ),
    "AWS::ECS::Service": (
        Rule("ServiceName", _NAME, 1, 255, _NAME_WORDS, _ECS + "API_CreateService.html"),
    ),
    "AWS::ECS::TaskDefinition": (
        Rule("Family", _NAME, 1, 255, _NAME_WORDS, _ECS + "API_RegisterTaskDefinition.html"),
        Rule("ContainerDefinitions/*/Name", _NAME, 1, 255, _NAME_WORDS, _ECS + "API_ContainerDefinition.html"),
    ),
    "AWS::SNS::Topic": (
        Rule(
            "TopicName",
            r"^[a-zA-Z0-9_-]+\Z",
            1,
            256,
            "letters, digits, hyphens and underscores",
            "https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html",
        ),
    ),
    "AWS::SecretsManager::Secret": (
        Rule(
            "Name",
            r"^(?!.*-[a-zA-Z0-9]{6}\Z)[a-zA-Z0-9/_+=.@-]+\Z",
            1,
            512,
            "letters, digits and /_+=.@-, not ending with a hyphen and six characters",
            "https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html",
        ),
    ),
    "AWS::CloudWatch::Dashboard": (
        Rule(
            "DashboardName",
            r"^[a-zA-Z0-9_-]+\Z",
            1,
            255,
            "letters, digits, hyphens and underscores",
            "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html",
        ),
    ),
}  # fmt: skip
# What to change where a region lacks a type of resource.
_INSTEAD = {
    "AWS::Budgets": "Leave out budget_usd under [aws]: CloudFormation makes no budgets there.",
    "AWS::CloudFront": 'Set edge = "alb" under [aws], or another region.',
    "AWS::Batch": "Take another region for predictors with a GPU.",
}


def problems_of(
    template: Mapping[str, Json], region: str = "", parameters: Mapping[str, str] | None = None
) -> list[ProjectError]:
    """Return everything AWS would refuse of a template. `parameters`: the values it will be deployed with.

    Without a `region` nothing is said of what regions lack.
    """
    known = _pseudo_parameters(region) | dict(parameters or {})
    found = [*_quotas(template, parameters or {}), *_values(template, known), *_sizes(template, known)]
    if region:
        found += _lacking(template, region)
    return [*{problem.message: problem for problem in found}.values()]


@cache
def _table() -> Mapping[str, Json]:
    table: Mapping[str, Json] = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
    return table


# --- limits of values -------------------------------------------------------------------------------------------------


def _values(template: Mapping[str, Json], known: Mapping[str, str]) -> Iterator[ProjectError]:
    """Yield the strings that their field does not take: each once, and a tag once for all resources."""
    seen: set[tuple[str, str]] = set()
    for title, resource in template.get("Resources", {}).items():
        for rule in rules_of(resource["Type"]):
            for text in _texts_at(resource.get("Properties", {}), rule.path.split("/"), known):
                refusal = rule.refusal(text)
                key = ("Tags" if rule.path.startswith("Tags/") else f"{title}, {rule.path}", text)
                if refusal and key not in seen:
                    seen.add(key)
                    yield _problem(f"{title}, {rule.path}", text, refusal, rule)


def rules_of(kind: str) -> Iterator[Rule]:
    """Yield every rule of a type of resource, those with words for people first."""
    yield from DOCUMENTED.get(kind, ())
    yield from DOCUMENTED["*"]
    for path, rules in _table()["types"].get(kind, {}).items():
        yield from (Rule(path, pattern, least, most) for least, most, pattern in rules)


def _problem(where: str, text: str, refusal: str, rule: Rule) -> ProjectError:
    shown = text if len(text) <= 80 else text[:79] + "…"
    hint = "Change it under [aws.tags]." if rule.path.startswith("Tags/") else f"See {rule.page}." if rule.page else ""
    return ProjectError(f"{where}: AWS would refuse {shown!r}; it takes {refusal}.", hint=hint)


def _texts_at(value: Json, path: list[str], known: Mapping[str, str]) -> Iterator[str]:
    """Yield the strings at a path, as far as they are known before a deployment."""
    if not path:
        text = text_of(value, known)
        if text is not None:
            yield text
        return
    name, *rest = path
    if name == "*":
        items = value if isinstance(value, list) else []
    elif not isinstance(value, dict):
        items = []
    elif name == "{key}":
        items = list(value)
    elif name == "{}":
        items = list(value.values())
    else:
        items = [value[name]] if name in value else []
    for item in items:
        yield from _texts_at(item, rest, known)


def text_of(value: Json, known: Mapping[str, str]) -> str | None:
    """Return what CloudFormation makes of a value, None for what is no text or known only there."""
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return None
    if len(value) != 1 or not next(iter(value)).startswith(("Fn::", "Ref")):
        return _compact(_resolve(value, known))
    [(function, argument)] = value.items()
    if function == "Ref":
        return known.get(argument)
    if function == "Fn::Sub":
        text, inner = argument if isinstance(argument, list) else (argument, {})
        values = {name: text_of(one, known) for name, one in inner.items()}
        return _substitute(text, {**known, **{name: one for name, one in values.items() if one is not None}})
    if function == "Fn::Join":
        parts = [text_of(part, known) for part in argument[1]] if isinstance(argument[1], list) else [None]
        return None if None in parts else argument[0].join(part for part in parts if part is not None)
    return None


def _substitute(text: str, known: Mapping[str, str]) -> str | None:
    names = re.findall(r"\$\{([^!}]+)\}", text)
    if not all(name in known for name in names):
        return None
    return re.sub(r"\$\{([^!}]+)\}", lambda found: known[found[1]], text)


_UNKNOWN = "x" * 80  # stands for what only CloudFormation knows where lengths are counted: as long as a long ARN


def _resolve(value: Json, known: Mapping[str, str]) -> Json:
    """Return a document with its values filled in, as CloudFormation sends it."""
    if isinstance(value, list):
        return [_resolve(one, known) for one in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref")):
        return text_of(value, known) or _UNKNOWN
    return {key: _resolve(one, known) for key, one in value.items()}


def _compact(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _pseudo_parameters(region: str) -> dict[str, str]:
    partition = partition_of(region)
    return {
        "AWS::Partition": partition,
        "AWS::Region": region or "us-east-1",
        "AWS::AccountId": "123456789012",
        "AWS::URLSuffix": "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com",
    }


# --- quotas of CloudFormation -----------------------------------------------------------------------------------------


def _quotas(template: Mapping[str, Json], parameters: Mapping[str, str]) -> Iterator[ProjectError]:
    """Yield what is too much for one stack."""
    for section, most in MOST_OF.items():
        if len(template.get(section, {})) > most:
            yield too_many(section)
    size = len(_compact(template).encode())
    if size > MOST_TEMPLATE_BYTES:
        message = f"The template would have {size:,} bytes, and CloudFormation takes {MOST_TEMPLATE_BYTES:,}."
        yield ProjectError(message, hint=f"Split the app in two. See {_CFN}.")
    if len(template.get("Description", "").encode()) > MOST_DESCRIPTION_BYTES:
        message = f"The template's description has more than the {MOST_DESCRIPTION_BYTES} bytes that are taken."
        yield ProjectError(message, hint="Shorten the app's title.")
    for name, text in parameters.items():
        if len(text.encode()) > MOST_PARAMETER_BYTES:
            message = f"The parameter {name} has {len(text.encode()):,} bytes, and CloudFormation takes 4,096."
            yield ProjectError(message, hint=f"See {_CFN}.")


def too_many(section: str) -> ProjectError:
    """Return the error of a stack that has more resources, parameters or outputs than CloudFormation takes."""
    message = f"The stack would have more than {MOST_OF[section]} {section.lower()}, and CloudFormation takes no more."
    return ProjectError(message, hint=f"About 50 predictors fill a stack: split the app in two. See {_CFN}.")


def _sizes(template: Mapping[str, Json], known: Mapping[str, str]) -> Iterator[ProjectError]:
    """Yield documents that are too long for their resource."""
    for title, resource in template.get("Resources", {}).items():
        properties = resource.get("Properties", {})
        for what, size, most, page in _measured(resource["Type"], properties, known):
            if size > most:
                message = f"{title}: its {what} would have {size:,} characters, and AWS takes {most:,}."
                yield ProjectError(message, hint=f"Split the app in two, or take shorter names. See {page}.")
        if len(properties.get("Tags", ())) > MOST_TAGS:
            yield ProjectError(f"{title}: AWS takes {MOST_TAGS} tags.", hint="Leave some of [aws.tags] out.")


def _measured(kind: str, properties: Json, known: Mapping[str, str]) -> Iterator[tuple[str, int, int, str]]:
    """Yield what is measured of a resource: its name, its size, the largest that is taken, the page."""
    if kind == "AWS::IAM::Role":
        inline = sum(policy_size(one["PolicyDocument"], known) for one in properties.get("Policies", ()))
        yield "inline policies", inline, MOST_INLINE_POLICY, _IAM
        trust = policy_size(properties["AssumeRolePolicyDocument"], known)
        yield "trust policy", trust, MOST_TRUST_POLICY, _IAM
    elif kind == "AWS::Lambda::Function":
        variables = _resolve(properties.get("Environment", {}).get("Variables", {}), known)
        yield "variables", len(_compact(variables).encode()), MOST_ENVIRONMENT_BYTES, _LAMBDA
    elif kind == "AWS::ECS::TaskDefinition":
        page = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html"
        size = len(_compact(_resolve(properties, known)).encode())
        yield "definition", size, MOST_TASK_DEFINITION_BYTES, page


def policy_size(document: Json, known: Mapping[str, str]) -> int:
    """Return the characters of a policy as IAM counts them: without white space."""
    return len(re.sub(r"\s", "", _compact(_resolve(document, known))))


# --- regions that lack services ---------------------------------------------------------------------------------------


def _lacking(template: Mapping[str, Json], region: str) -> Iterator[ProjectError]:
    """Yield what the region does not have. A region that is not known here is AWS's to judge."""
    there = _table()["regions"].get(region)
    if there is None:
        return
    resources = list(template.get("Resources", {}).values())
    for kind in sorted({resource["Type"] for resource in resources} & set(there["lacks"])):
        hint = next((hint for prefix, hint in _INSTEAD.items() if kind.startswith(prefix)), "Take another region.")
        yield ProjectError(f"The region {region} has no {kind}.", hint=hint)
    for machines in _machines(resources):
        if not set(machines) & set(there["gpus"]):
            usual = [one for one in there["gpus"] if re.match(r"g[4-9]\w*\.xlarge", one)]
            instead = f"Set gpu_instances = {json.dumps(usual)} under [aws]" if usual else "Take another region"
            message = f"The region {region} has none of the machines that would be started: {', '.join(machines)}."
            yield ProjectError(message, hint=f"{instead}.")


def _machines(resources: Iterable[Json]) -> Iterator[list[str]]:
    for resource in resources:
        if resource["Type"] == "AWS::Batch::ComputeEnvironment":
            provider = resource["Properties"]["ComputeResources"]["ManagedInstancesProvider"]
            yield provider["InstanceLaunchTemplate"]["InstanceRequirements"]["AllowedInstanceTypes"]
