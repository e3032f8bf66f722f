"""What follows a release: the address answers, and costs are counted by the stage's tag."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from botocore.stub import Stubber

from matinee.deploy import versions
from matinee.deploy.cloud import Cloud
from matinee.deploy.publish import activate_tag, check_answers
from matinee.project.aws import Aws
from matinee.stack.blueprint import Blueprint

Answers = Callable[[str], Stubber]
NAME = "matinee-activity-prod-recommend"


@pytest.fixture
def page() -> tuple[str, list[int]]:
    """Return an address that answers with these codes, one after another, and 200 from then on."""
    codes: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(codes.pop(0) if codes else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", codes
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_address_is_asked_until_it_answers(recorded: Cloud, page: tuple[str, list[int]]) -> None:
    url, codes = page
    codes += [502, 503]
    assert check_answers(recorded, url, pytest.fail)
    assert codes == []


def test_one_that_does_not_answer_is_said_and_no_failure(recorded: Cloud, page: tuple[str, list[int]]) -> None:
    url, codes = page
    codes += [502] * 10
    told = []
    clock = itertools.count(0, 100)
    assert not check_answers(replace(recorded, clock=lambda: next(clock)), url, told.append)
    assert told[0].text == f"{url} does not answer yet: it answers 502."


def test_correction_18_the_tag_that_a_budget_counts_by_is_activated(recorded: Cloud, answers: Answers) -> None:
    blueprint = Blueprint(recorded.names, "Activity", (), Aws(budget_usd=30))
    keys = ("matinee:name", "matinee:app", "matinee:stage")
    given = {"CostAllocationTagsStatus": [{"TagKey": key, "Status": "Active"} for key in keys]}
    ce = answers("ce")
    ce.add_response("update_cost_allocation_tags_status", {"Errors": []}, given)
    activate_tag(recorded, blueprint, pytest.fail)
    early = {"Errors": [{"TagKey": "matinee:name", "Code": "TagKeysNotFound", "Message": "Tag keys not found"}]}
    ce.add_response("update_cost_allocation_tags_status", early, given)
    told = []
    activate_tag(recorded, blueprint, told.append)
    assert told[0].text.endswith("AWS cannot activate that tag yet.")
    activate_tag(recorded, Blueprint(recorded.names, "Activity", ()), pytest.fail)


def test_processes_are_kept_warm_at_the_alias_and_no_longer(recorded: Cloud, answers: Answers) -> None:
    at = {"FunctionName": NAME, "Qualifier": "live"}
    client = answers("lambda")
    client.add_response("put_provisioned_concurrency_config", {}, {**at, "ProvisionedConcurrentExecutions": 2})
    versions.keep_warm(recorded, "recommend", 2)
    client.add_response("delete_provisioned_concurrency_config", {}, at)
    versions.keep_warm(recorded, "recommend", 0, before=2)
    versions.keep_warm(recorded, "recommend", 0)


def test_a_part_of_the_calls_goes_to_the_new_version(recorded: Cloud, answers: Answers) -> None:
    given = {"FunctionName": NAME, "Name": "live"}
    client = answers("lambda")
    weighted = {**given, "FunctionVersion": "6", "RoutingConfig": {"AdditionalVersionWeights": {"7": 0.1}}}
    client.add_response("update_alias", {}, weighted)
    versions.point_alias(recorded, "recommend", "7", share=0.1, former="6")
    read_whole_release = {**given, "FunctionVersion": "7", "RoutingConfig": {"AdditionalVersionWeights": {}}}
    client.add_response("update_alias", {}, read_whole_release)
    versions.point_alias(recorded, "recommend", "7", former="6")
    client.add_response("update_alias", {}, read_whole_release)
    versions.point_alias(recorded, "recommend", "7", share=0.1, former="$LATEST")  # there is no version to share with


def test_a_function_that_is_pending_is_waited_for_and_one_that_failed_says_why(
    recorded: Cloud, answers: Answers
) -> None:
    client = answers("lambda")
    client.add_response("publish_version", {"Version": "7"}, {"FunctionName": NAME})
    asked = {"FunctionName": NAME, "Qualifier": "7"}
    for state in ("Pending", "Active"):
        client.add_response("get_function_configuration", {"State": state, "LastUpdateStatus": "Successful"}, asked)
    assert versions.publish_version(recorded, "recommend") == "7"
    client.add_response("publish_version", {"Version": "8"}, {"FunctionName": NAME})
    failed = {"State": "Failed", "StateReason": "The image manifest is not supported"}
    client.add_response("get_function_configuration", failed, {**asked, "Qualifier": "8"})
    with pytest.raises(Exception, match=f"The function {NAME} cannot run its image: The image manifest is not suppo"):
        versions.publish_version(recorded, "recommend")
