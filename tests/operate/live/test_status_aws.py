"""What `matinee status` says of each part of a stage, by what AWS answers."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources
from matinee.operate import status as operate_status
from matinee.project.aws import Aws

TARGETS = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/ui/1"
ARN = "arn:aws:cloudformation:eu-central-1:123456789012:stack/{}/1"


def stack(stubs, name, status="UPDATE_COMPLETE", reason=""):
    told = {"StackName": name, "StackId": ARN.format(name), "StackStatus": status, "CreationTime": "2026-11-01"}
    answer = {"Stacks": [told | ({"StackStatusReason": reason} if reason else {})]}
    stubs["cloudformation"].add_response("describe_stacks", answer, {"StackName": name})


def gone(stubs, name):
    message = f"Stack with id {name} does not exist"
    stubs["cloudformation"].add_client_error("describe_stacks", "ValidationError", message)


NAMES = ("matinee-shop-dev-data", "matinee-shop-dev", "matinee-shop-dev-edge")


def parts(found):
    return [(part.name, part.state, part.text) for part in found]


def test_complete_stacks_are_one_line(cloud, stubs):
    for name in NAMES:
        stack(stubs, name)
    assert parts(operate_status._stacks(cloud, Aws())) == [("stacks", "ok", "3 stacks are complete.")]


def test_a_stack_that_is_stuck_busy_or_missing_is_named_with_the_way_out(cloud, stubs):
    stack(stubs, NAMES[0], "UPDATE_IN_PROGRESS")
    stack(stubs, NAMES[1], "UPDATE_ROLLBACK_FAILED", "Service ui")
    gone(stubs, NAMES[2])
    found = list(operate_status._stacks(cloud, Aws()))
    assert [part.text for part in found] == [
        "matinee-shop-dev-data is being changed (UPDATE_IN_PROGRESS).",
        "matinee-shop-dev is in UPDATE_ROLLBACK_FAILED (Service ui).",
        "There is no stack matinee-shop-dev-edge.",
    ]
    assert {part.state for part in found} == {"attention"}
    assert found[1].hint == "`matinee deploy --stage dev` puts it right."


def test_without_cloudfront_no_edge_is_missed(cloud, stubs):
    stack(stubs, NAMES[0])
    stack(stubs, NAMES[1])
    assert parts(operate_status._stacks(cloud, Aws(edge="alb"))) == [("stacks", "ok", "2 stacks are complete.")]


def service(stubs, running, wanted, events=(), healthy=None):
    told = {
        "serviceName": "ui",
        "status": "ACTIVE",
        "runningCount": running,
        "desiredCount": wanted,
        "events": [{"message": text} for text in events],
        "loadBalancers": [{"targetGroupArn": TARGETS}],
    }
    asked = {"cluster": "matinee-shop-dev", "services": ["ui"]}
    stubs["ecs"].add_response("describe_services", {"services": [told]}, asked)
    if healthy is not None:
        states = ["healthy"] * healthy + ["unhealthy"] * (running - healthy)
        found = [{"TargetHealth": {"State": state}} for state in states]
        answer = {"TargetHealthDescriptions": found}
        stubs["elbv2"].add_response("describe_target_health", answer, {"TargetGroupArn": TARGETS})


def stopped(stubs, reason):
    arns = {"taskArns": ["arn:aws:ecs:x:1:task/t"] if reason else []}
    stubs["ecs"].add_response("list_tasks", arns)
    if reason:
        stubs["ecs"].add_response("describe_tasks", {"tasks": [{"stoppedReason": reason}]})


@pytest.mark.parametrize(
    ("running", "wanted", "healthy", "state", "text"),
    [
        (2, 2, 2, "ok", "2 of 2 tasks run, 2 answer."),
        (1, 2, 1, "attention", "1 of 2 tasks run, 1 answer."),
        (2, 2, 1, "attention", "2 of 2 tasks run, 1 answer."),
        (0, 0, None, "asleep", "No task runs: it is outside its office hours."),
    ],
)
def test_the_ui_by_its_tasks_and_the_load_balancer(cloud, stubs, running, wanted, healthy, state, text):
    service(stubs, running, wanted, ["(service ui) was unable to place a task."], healthy)
    (part,) = operate_status._ui(cloud)
    assert (part.state, part.text) == (state, text)
    assert part.hint == ("(service ui) was unable to place a task." if state == "attention" else "")


@pytest.mark.parametrize(
    ("reason", "events", "hint"),
    [
        ("CannotPullContainerError: not found", ["started"], "CannotPullContainerError: not found"),
        ("", ["(service ui) is unable to place a task: no capacity"], "(service ui) is unable to place a task: no cap"),
        ("", [], "matinee logs ui --stage dev"),
    ],
)
def test_a_ui_that_is_down_says_why_its_last_task_stopped(cloud, stubs, reason, events, hint):
    service(stubs, 0, 1, events, healthy=0)
    stopped(stubs, reason)
    (part,) = operate_status._ui(cloud)
    assert (part.state, part.text) == ("down", "0 of 1 tasks run, 0 answer.")
    assert part.hint.startswith(hint)


def test_a_stage_without_a_service_or_a_cluster_has_no_ui(cloud, stubs):
    stubs["ecs"].add_response("describe_services", {"services": [{"status": "INACTIVE"}]})
    assert operate_status._ui(cloud)[0].text == "There is no service of the UI."
    stubs["ecs"].add_client_error("describe_services", "ClusterNotFoundException", "Cluster not found.")
    assert operate_status._ui(cloud)[0].state == "down"


def function(stubs, **told):
    asked = {"FunctionName": "matinee-shop-dev-recommend", "Qualifier": "live"}
    stubs["lambda"].add_response("get_function", {"Configuration": told}, asked)


@pytest.mark.parametrize(
    ("told", "state", "text"),
    [
        ({"Version": "7", "State": "Active"}, "ok", "Version 7 is live."),
        ({"Version": "7", "State": "Inactive"}, "ok", "Version 7 is live; the first prediction wakes it (Inactive)."),
        ({"Version": "6", "State": "Active"}, "attention", "Version 6 is live, and the release says 7."),
        (
            {"Version": "7", "State": "Failed", "StateReason": "The image cannot be read"},
            "down",
            "The function cannot run: The image cannot be read.",
        ),
        (
            {"Version": "7", "State": "Active", "LastUpdateStatus": "Failed"},
            "down",
            "The function cannot run: AWS does not say why.",
        ),
    ],
)
def test_a_function_by_its_state_and_the_version_of_its_alias(cloud, stubs, told, state, text):
    function(stubs, **told)
    part = operate_status._function(cloud, "recommend", "7")
    assert (part.name, part.state, part.text) == ("recommend", state, text)


def test_a_function_that_is_gone_is_down(cloud, stubs):
    stubs["lambda"].add_client_error("get_function", "ResourceNotFoundException", "Function not found")
    part = operate_status._function(cloud, "recommend", "7")
    assert (part.state, part.text) == ("down", "There is no function matinee-shop-dev-recommend with an alias live.")


def test_what_may_not_be_asked_is_unknown_and_the_rest_is_told(cloud, stubs):
    denied = "User: arn:aws:iam::1:user/ada is not authorized to perform: {} on resource: *"
    stubs["cloudformation"].add_client_error(
        "describe_stacks", "AccessDenied", denied.format("cloudformation:DescribeStacks")
    )
    service(stubs, 1, 1, healthy=1)
    function(stubs, Version="7", State="Active")
    stubs["lambda"].add_response("get_function", {"Configuration": {"Version": "3", "State": "Active"}})
    predictor = PredictorManifest("recommend", "realtime", "recommend", "", {}, {}, Resources())
    release = Release("shop", "Shop", 4, 0.0, (ComponentManifest("recommend", "h", "v7", (predictor,)),))
    release.details["aws"] = {"functions": {"recommend": "7"}}
    found = operate_status.parts_of_stage(cloud, Aws(), release)
    assert [(part.name, part.state) for part in found] == [
        ("stacks", "unknown"),
        ("UI", "ok"),
        ("recommend", "ok"),
        ("dispatcher", "ok"),
    ]
    assert "cloudformation:DescribeStacks is not allowed" in found[0].text
    assert "Allow cloudformation:DescribeStacks" in found[0].hint


# --- money ----------------------------------------------------------------------------------------------------------


def costs(stubs, amount):
    stubs["ce"].add_response(
        "get_cost_and_usage",
        {"ResultsByTime": [{"Total": {"UnblendedCost": {"Amount": amount, "Unit": "USD"}}}]},
        {
            "TimePeriod": {"Start": "2026-11-01", "End": "2026-11-27"},
            "Granularity": "MONTHLY",
            "Metrics": ["UnblendedCost"],
            "Filter": {"Tags": {"Key": "matinee:name", "Values": ["matinee-shop-dev"], "MatchOptions": ["EQUALS"]}},
        },
    )


def test_correction_18_the_month_s_cost_is_asked_by_the_stage_s_tag(cloud, stubs):
    costs(stubs, "12.3456")
    found = operate_status.cost_of_stage(cloud, date(2026, 11, 26))
    assert found.usd == pytest.approx(12.3456)
    assert found.text == "since 2026-11-01, as billed so far; AWS is a day behind"


def test_correction_18_nothing_under_the_tag_means_that_it_is_not_activated(cloud, stubs):
    costs(stubs, "0")
    found = operate_status.cost_of_stage(cloud, date(2026, 11, 26))
    assert found.usd is None
    assert "activate it under Billing, Cost allocation tags" in found.text


def test_who_may_not_see_costs_is_told_what_is_missing(cloud, stubs):
    message = "User: arn:aws:iam::1:user/ada is not authorized to perform: ce:GetCostAndUsage on resource: *"
    stubs["ce"].add_client_error("get_cost_and_usage", "AccessDeniedException", message)
    found = operate_status.cost_of_stage(cloud, date(2026, 11, 26))
    assert found.usd is None
    assert "Allow ce:GetCostAndUsage" in found.text


# --- the address ----------------------------------------------------------------------------------------------------


@contextmanager
def answering(code):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(code if self.path == "/_stcore/health" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_the_address_is_asked_as_a_visitor_would():
    with answering(200) as url:
        part = operate_status._address(url)
        assert (part.state, part.text.startswith(f"{url} answers in ")) == ("ok", True)
    assert operate_status._address(url).text == f"{url} does not answer ([Errno 111] Connection refused)."
    with answering(502) as url:
        part = operate_status._address(url)
        assert (part.state, part.text) == ("down", f"{url} answers 502.")
