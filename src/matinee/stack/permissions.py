"""Who may do what, as data: one role per workload, each with the statements its code needs and no more.

`roles(b)` is all of it. Each statement has a `sid`; one with the resource `*` says on which page AWS forces that.
What each workload calls is held against this by `tests/stack/test_permissions.py`.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from matinee.manifest import PredictorManifest
from matinee.names import queue_partitions
from matinee.settings import DISPATCHER, LIVE, PASSWORD
from matinee.stack.blueprint import (
    BUCKET,
    PASSWORD_SECRET,
    PUBLIC_PREFIX,
    UI,
    Blueprint,
    arn,
    is_password_in_secrets_manager,
    logical,
    shortened,
)

Json = Any
_PAGES = "https://docs.aws.amazon.com/service-authorization/latest/reference/"
ECR_TOKEN_PAGE = _PAGES + "list_amazonelasticcontainerregistry.html"
ECS_PAGE = _PAGES + "list_amazonelasticcontainerservice.html"
BATCH_PAGE = _PAGES + "list_awsbatch.html"
# TransactWriteItems is no action of its own: each of its parts is.
TABLE_ACTIONS = ("BatchGetItem", "ConditionCheckItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem")


@dataclass(frozen=True)
class Statement:
    """One permission. `forced`: the page that says why its resource is `*`."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    forced: str = ""

    def as_json(self) -> dict[str, Json]:
        """Return it as IAM reads it."""
        document: dict[str, Json] = {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": sorted(self.actions),
            "Resource": [_fill_in(one) for one in self.resources],
        }
        if self.conditions:
            document["Condition"] = {
                test: {key: _fill_in_each(value) for key, value in keys.items()}
                for test, keys in self.conditions.items()
            }
        return document


@dataclass(frozen=True)
class Role:
    """A role: its logical id, its name, the service that takes it on, and what it may."""

    id: str
    name: str
    service: str
    statements: tuple[Statement, ...]
    managed: tuple[str, ...] = ()  # policies of AWS's own, where AWS wants those


def roles(b: Blueprint) -> tuple[Role, ...]:
    """Return every role of the app's stack."""
    found = [_ui(b), _ui_execution(b), _dispatcher(b), _scheduler(b)]
    found += [_function(b, p) for p in b.realtime]
    for p in b.predictors:
        found += [_worker(b, p), _execution(b, f"ExecutionRole{logical(p.name)}", p.name, p.resources.secrets)]
    if b.on_gpu:
        found += [_instances(b), _infrastructure(b)]
    return tuple(found)


# --- names of roles ---------------------------------------------------------------------------------------------


def role_name(b: Blueprint, name: str, suffix: str = "") -> str:
    """Return the name of a role of a predictor or of a part of the app's own."""
    return shortened(b.names.resource(name) + suffix)


def role_id(predictor: str) -> str:
    """Return the logical id of a function's role."""
    return f"Role{logical(predictor)}"


def worker_role_id(predictor: str) -> str:
    """Return the logical id of a worker's role."""
    return f"WorkerRole{logical(predictor)}"


def execution_role_id(predictor: str) -> str:
    """Return the logical id of the role ECS starts a worker with."""
    return f"ExecutionRole{logical(predictor)}"


# --- permissions of each workload -------------------------------------------------------------------------------


def _ui(b: Blueprint) -> Role:
    groups = tuple(arn("logs", f"log-group:{b.names.log_group(p.name)}:*") for p in b.predictors)
    statements = (
        _invoke(b, "*"),
        *_whole_table(b),
        *_files(read=("uploads", "inputs", "results"), write=("uploads", "inputs", "results"), delete=("uploads",)),
        *((Statement("ReadTheLogsOfRuns", ("logs:FilterLogEvents",), groups),) if groups else ()),
    )
    return Role("UiRole", role_name(b, UI), "ecs-tasks", statements)


def _ui_execution(b: Blueprint) -> Role:
    return _execution(b, "UiExecutionRole", UI, b.ui_secrets)


def _worker(b: Blueprint, predictor: PredictorManifest) -> Role:
    inputs = tuple(f"inputs/{name}" for name in (predictor.name, *predictor.calls))
    statements = (
        _invoke(b, DISPATCHER, *predictor.calls),
        *_runs_of(b, predictor.name, *predictor.calls),
        *_files(read=("uploads", *inputs, "results"), write=(*inputs, "results")),
        *_of_its_own(predictor),
    )
    name = role_name(b, predictor.name, "-worker")
    return Role(worker_role_id(predictor.name), name, "ecs-tasks", statements)


def _function(b: Blueprint, predictor: PredictorManifest) -> Role:
    calls = tuple(name for name in predictor.calls if b.kind_of(name))
    submits = any(b.kind_of(name) == "batch" for name in calls)
    callees = (*calls, DISPATCHER) if submits else calls
    secrets = tuple(arn("ssm", "parameter" + b.names.parameter(name)) for name in predictor.resources.secrets)
    statements = (
        *(_runs_of(b, *calls) if submits else _shared_state(b)),
        *(_recorded_calls(b) if calls and not submits else ()),
        *_files(
            read=("uploads", f"inputs/{predictor.name}", *(("results",) if calls else ())),
            write=(*(f"inputs/{name}" for name in calls), "results"),
        ),
        *((_invoke(b, *callees),) if callees else ()),
        *((Statement("ReadItsSecrets", ("ssm:GetParameters",), secrets),) if secrets else ()),
        _write_logs(b, predictor.name),
        *_of_its_own(predictor),
    )
    return Role(role_id(predictor.name), role_name(b, predictor.name), "lambda", statements)


def _of_its_own(predictor: PredictorManifest) -> tuple[Statement, ...]:
    """Return what `permissions = […]` asks for."""
    asked = predictor.resources.permissions
    return tuple(
        Statement(f"Own{number}", tuple(one["actions"]), tuple(one["resources"]), forced="matinee.toml asks for it")
        for number, one in enumerate(asked, 1)
    )


def _dispatcher(b: Blueprint) -> Role:
    secrets = tuple(arn("ssm", "parameter" + b.names.parameter(name)) for name in b.dispatcher_secrets)
    statements = (
        *_whole_table(b),
        *_files(read=("inputs",), write=("inputs",)),
        *_tasks(b),
        *(_jobs(b) if b.on_gpu else ()),
        *((Statement("ReadItsSecrets", ("ssm:GetParameters",), secrets),) if secrets else ()),
        _write_logs(b, DISPATCHER),
    )
    return Role("DispatcherRole", role_name(b, DISPATCHER), "lambda", statements)


def _scheduler(b: Blueprint) -> Role:
    return Role("SchedulerRole", role_name(b, "scheduler"), "scheduler", (_invoke(b, DISPATCHER),))


def _execution(b: Blueprint, role: str, name: str, secrets: tuple[str, ...]) -> Role:
    """Return what ECS itself may do to start a container: pull its image, ship its lines, read its secrets."""
    elsewhere = (PASSWORD,) if name == UI and is_password_in_secrets_manager(b) else ()
    parameters = tuple(arn("ssm", "parameter" + b.names.parameter(s)) for s in secrets if s not in elsewhere)
    pull = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    statements = (
        Statement("SignInToTheRegistry", ("ecr:GetAuthorizationToken",), ("*",), forced=ECR_TOKEN_PAGE),
        Statement("PullTheImage", pull, (arn("ecr", f"repository/{b.names.base}"),)),
        _write_logs(b, name),
        *((Statement("ReadItsSecrets", ("ssm:GetParameters",), parameters),) if parameters else ()),
        *(
            (Statement("ReadThePassword", ("secretsmanager:GetSecretValue",), (f"${{{PASSWORD_SECRET}}}",)),)
            if elsewhere
            else ()
        ),
    )
    return Role(role, role_name(b, name, "-execution"), "ecs-tasks", statements)


# --- shared statements ------------------------------------------------------------------------------------------


def _invoke(b: Blueprint, *names: str) -> Statement:
    functions = tuple(arn("lambda", f"function:{b.names.resource(name)}:{LIVE}") for name in names)
    return Statement("CallFunctions", ("lambda:InvokeFunction",), functions)


def _whole_table(b: Blueprint) -> tuple[Statement, ...]:
    table = arn("dynamodb", f"table/{b.names.base}")
    actions = tuple(f"dynamodb:{action}" for action in TABLE_ACTIONS)
    return (
        Statement("UseTheTable", actions, (table,)),
        Statement("UseItsIndexes", ("dynamodb:Query",), (table + "/index/*",)),
    )


def _shared_state(b: Blueprint) -> tuple[Statement, ...]:
    """Return access to shared state alone: never to other people's runs or to users."""
    return (_items(b, "UseSharedState", ("GetItem", "PutItem", "UpdateItem"), "STATE#*"),)


def _runs_of(b: Blueprint, *predictors: str) -> tuple[Statement, ...]:
    """Return what works on runs and submits them: the queues of these predictors, and never users or tokens."""
    queues = tuple(key for name in predictors for key in queue_partitions(name))
    return (
        _items(b, "UseItsRuns", TABLE_ACTIONS, *queues, "RUN#*", "ONCE#*", "POOLS", "STATE#*"),
        _items(b, "SeeWhatIsLive", ("GetItem", "Query"), "RELEASE"),
    )


def _recorded_calls(b: Blueprint) -> tuple[Statement, ...]:
    """Return what a call of another predictor needs: to see what is live, and to record the run (and read none)."""
    read = _items(b, "SeeWhatIsLive", ("GetItem",), "RELEASE")
    return (read, _items(b, "RecordCalls", ("PutItem",), "RUN#*", "POOLS"))


def _items(b: Blueprint, sid: str, actions: tuple[str, ...], *keys: str) -> Statement:
    """Return access to the items whose partition key is one of these.

    Null: a request without keys has none that is forbidden, so `ForAllValues` alone would let it pass.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """
    return Statement(
        sid,
        tuple(f"dynamodb:{action}" for action in actions),
        (arn("dynamodb", f"table/{b.names.base}"),),
        {
            "ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(keys)},
            "Null": {"dynamodb:LeadingKeys": "false"},
        },
    )


def _files(*, read: tuple[str, ...], write: tuple[str, ...], delete: tuple[str, ...] = ()) -> tuple[Statement, ...]:
    """Return access to prefixes of the bucket. Without ListBucket a key that is missing would be "forbidden"."""
    bucket = f"arn:${{AWS::Partition}}:s3:::${{{BUCKET}}}"

    def below(prefixes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"{bucket}/{prefix}/*" for prefix in prefixes)

    listed = {"StringLike": {"s3:prefix": [f"{prefix}/*" for prefix in dict.fromkeys((*read, *write))]}}
    return (
        Statement("ReadFiles", ("s3:GetObject",), below(read)),
        Statement("WriteFiles", ("s3:AbortMultipartUpload", "s3:PutObject"), below(write)),
        *((Statement("DeleteFiles", ("s3:DeleteObject",), below(delete)),) if delete else ()),
        Statement("ListFiles", ("s3:ListBucket",), (bucket,), listed),
    )


def _write_logs(b: Blueprint, name: str) -> Statement:
    """Never CreateLogGroup: it would bring a group back after the app is gone."""
    actions = ("logs:CreateLogStream", "logs:PutLogEvents")
    return Statement("WriteItsLogs", actions, (arn("logs", f"log-group:{b.names.log_group(name)}:*"),))


# --- permissions to launch workers ------------------------------------------------------------------------------


def _tasks(b: Blueprint) -> tuple[Statement, ...]:
    cluster = arn("ecs", f"cluster/{b.names.base}")
    tasks = arn("ecs", f"task/{b.names.base}/*")
    in_cluster = {"ArnEquals": {"ecs:cluster": cluster}}
    passed = tuple(
        arn("iam", f"role/{name}", region="")
        for p in b.on_fargate
        for name in (role_name(b, p.name, "-worker"), role_name(b, p.name, "-execution"))
    )
    to_tasks = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    definitions = (arn("ecs", f"task-definition/{b.names.prefix}*:*"),)
    return (
        Statement("StartWorkers", ("ecs:RunTask",), definitions, in_cluster),
        Statement("TagWorkers", ("ecs:TagResource",), (tasks,), {"StringEquals": {"ecs:CreateAction": "RunTask"}}),
        Statement("WatchAndStopWorkers", ("ecs:DescribeTasks", "ecs:StopTask"), (tasks,)),
        Statement("FindWorkers", ("ecs:ListTasks",), ("*",), in_cluster, forced=ECS_PAGE),
        *((Statement("GiveWorkersTheirRoles", ("iam:PassRole",), passed, to_tasks),) if passed else ()),
    )


def _jobs(b: Blueprint) -> tuple[Statement, ...]:
    named = (arn("batch", f"job-definition/{b.names.prefix}*"), arn("batch", f"job-queue/{b.names.base}"))
    return (
        Statement("SubmitJobs", ("batch:SubmitJob", "batch:TagResource"), named),
        Statement("TagJobs", ("batch:TagResource",), (arn("batch", "job/*"),)),
        Statement("EndJobs", ("batch:TerminateJob",), (arn("batch", "job/*"),)),
        Statement("FindJobs", ("batch:DescribeJobs", "batch:ListJobs"), ("*",), forced=BATCH_PAGE),
    )


def _instances(b: Blueprint) -> Role:
    """Return what a machine with a GPU is: its agent's policy is AWS's own.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/managed-instances-instance-profile.html
    """
    managed = ("AmazonECSInstanceRolePolicyForManagedInstances",)
    return Role("InstanceRole", role_name(b, "gpu-instances"), "ec2", (), managed)


def _infrastructure(b: Blueprint) -> Role:
    """Return what ECS may do to have machines: AWS's own policy passes only roles called `ecsInstanceRole…`."""
    instances = (arn("iam", f"role/{role_name(b, 'gpu-instances')}", region=""),)
    to_ec2 = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    statements = (Statement("GiveMachinesTheirRole", ("iam:PassRole",), instances, to_ec2),)
    managed = ("AmazonECSInfrastructureRolePolicyForManagedInstances",)
    return Role("InfrastructureRole", role_name(b, "gpu-infrastructure"), "ecs", statements, managed)


def _fill_in_each(value: Json) -> Json:
    return [_fill_in(one) for one in value] if isinstance(value, list) else _fill_in(value)


def _fill_in(text: Json) -> Json:
    """Return a text with `${AWS::Region}` and the like as CloudFormation fills it in, without troposphere."""
    return {"Fn::Sub": text} if "${" in text else text


# --- policy documents -------------------------------------------------------------------------------------------------
# Policies as documents: a role's, who takes a role on, and what repository, bucket and topic let others do.


def policy_document(statements: tuple[Statement, ...]) -> dict[str, Json]:
    """Return a policy of these statements."""
    return {"Version": "2012-10-17", "Statement": [statement.as_json() for statement in statements]}


def trust_policy(role: Role) -> dict[str, Json]:
    """Return who takes the role on: the service, for this account alone (the confused deputy's remedy).

    https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    condition = {"StringEquals": {"aws:SourceAccount": _fill_in("${AWS::AccountId}")}}
    statement: dict[str, Json] = {
        "Effect": "Allow",
        "Principal": {"Service": f"{role.service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    if role.service != "ec2":  # an instance takes its role on by itself: there is no source account then
        statement["Condition"] = condition
    return {"Version": "2012-10-17", "Statement": [statement]}


def repository_policy(b: Blueprint) -> dict[str, Json]:
    """Return what lets Lambda read the images, for the app's functions alone."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "LambdaReadsImages",
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                # The account is in the ARN. Lambda is not known to tell it apart, and would then read nothing.
                "Condition": {"ArnLike": {"aws:SourceArn": _fill_in(arn("lambda", f"function:{b.names.prefix}*"))}},
            }
        ],
    }


def bucket_policy(b: Blueprint) -> dict[str, Json]:
    """Return what forbids plain HTTP to everybody, and lets CloudFront read the sleeping page if there is one."""
    bucket = f"arn:${{AWS::Partition}}:s3:::${{{BUCKET}}}"
    statements: list[dict[str, Json]] = [
        {
            "Sid": "EncryptedConnectionsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [_fill_in(bucket), _fill_in(bucket + "/*")],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]
    if b.aws.office_hours and b.aws.edge == "cloudfront":
        distributions = arn("cloudfront", "distribution/*", region="")
        statements.append(
            {
                "Sid": "CloudFrontReadsTheSleepingPage",
                "Effect": "Allow",
                "Principal": {"Service": "cloudfront.amazonaws.com"},
                "Action": "s3:GetObject",
                "Resource": _fill_in(f"{bucket}/{PUBLIC_PREFIX}*"),
                "Condition": {"ArnLike": {"aws:SourceArn": _fill_in(distributions)}},  # the account is in the ARN
            }
        )
    return {"Version": "2012-10-17", "Statement": statements}


def topic_policy(b: Blueprint) -> dict[str, Json]:
    """Return what lets alarms of this account, and nobody else, send to the topic of alarms."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "AlarmsSend",
                "Effect": "Allow",
                "Principal": {"Service": "cloudwatch.amazonaws.com"},
                "Action": "sns:Publish",
                "Resource": _fill_in(arn("sns", b.names.resource("alarms"))),
                "Condition": {
                    "ArnLike": {"aws:SourceArn": _fill_in(arn("cloudwatch", f"alarm:{b.names.prefix}*"))},
                    "StringEquals": {"aws:SourceAccount": _fill_in("${AWS::AccountId}")},
                },
            }
        ],
    }
