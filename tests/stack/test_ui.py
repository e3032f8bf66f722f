"""What the UI's task is told: whom it lets in, before there is any release."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from matinee.access.modes import SignIn, make_sign_in
from matinee.access.people import Users
from matinee.access.reach import check_reach
from matinee.project.sections import Auth
from matinee.stack.templates import app_template

from .iam import resolved

CERTIFICATE = "arn:aws:acm:us-east-1:111122223333:certificate/abc"


def container(b):
    [found] = app_template(b)["Resources"]["UiDefinition"]["Properties"]["ContainerDefinitions"]
    return found


def environment(b):
    """The variables of the task as its process has them, secrets with some value."""
    told = container(b)
    plain = {one["Name"]: one["Value"] for one in told["Environment"]}
    return plain | {one["Name"]: f"https://x/oauth2callback?{one['Name']}" for one in told.get("Secrets", [])}


def started(variables) -> SignIn:
    def no_users() -> Users:
        raise AssertionError("nobody signs in yet")

    mode = make_sign_in(json.loads(variables["MATINEE_AUTH"]), variables, no_users)
    mode.check_start()
    return mode


AUTHS = [Auth("password", owners=("ada",)), Auth("users"), Auth("oidc", allow=("@example.com",), days=1)]


@pytest.mark.parametrize("auth", AUTHS, ids=lambda auth: auth.mode)
def test_the_ui_starts_with_its_sign_in_before_anything_is_live(make, auth):
    b = replace(make(), auth=auth)
    variables = environment(b)
    if auth.mode == "oidc":
        variables["MATINEE_OIDC_REDIRECT_URI"] = "https://d1.cloudfront.net/oauth2callback"
    mode = started(variables)
    assert mode.name == auth.mode
    check_reach(mode, "0.0.0.0", without_sign_in="--without-sign-in" in container(b)["Command"])
    assert container(b)["Command"] == ["ui"], "nobody gets in without"


def test_without_auth_the_ui_is_told_that_this_is_meant(make):
    b = make()
    assert container(b)["Command"] == ["ui", "--without-sign-in"]
    check_reach(started(environment(b)), "0.0.0.0", without_sign_in=True)


def test_all_tasks_of_the_ui_sign_cookies_with_one_secret(make):
    for auth in AUTHS:
        assert "MATINEE_COOKIE_SECRET" in {s["Name"] for s in container(replace(make(), auth=auth))["Secrets"]}
    assert container(make())["Secrets"] == []


def test_where_the_provider_sends_people_back_to_follows_from_the_domain(make):
    b = replace(make({"domain": "app.example.com", "certificate": CERTIFICATE}), auth=Auth("oidc"))
    found = {one["Name"]: one["Value"] for one in container(b)["Environment"]}
    assert found["MATINEE_OIDC_REDIRECT_URI"] == "https://app.example.com/oauth2callback"
    assert "MATINEE_OIDC_REDIRECT_URI" not in b.ui_secrets
    assert "MATINEE_OIDC_REDIRECT_URI" in replace(make(), auth=Auth("oidc")).ui_secrets


def test_no_value_of_a_secret_is_in_the_template(make):
    b = replace(make({"password_in": "secrets-manager"}), auth=Auth("password"))
    for secret in container(b)["Secrets"]:
        where = resolved(secret["ValueFrom"])
        assert where == {"Ref": "PasswordSecretArn"} or where.startswith("arn:aws:ssm:"), secret["Name"]


def test_forwarded_addresses_are_believed_from_inside_the_network_alone(make):
    found = {one["Name"]: one["Value"] for one in container(make())["Environment"]}
    assert found["MATINEE_TRUSTED_PROXIES"] == {"Ref": "VpcCidr"}


def test_it_knows_that_people_come_by_https_where_they_do(make):
    def told(**aws):
        return {one["Name"]: one["Value"] for one in container(make(aws))["Environment"]}["MATINEE_HTTPS"]

    own = {"domain": "app.example.com", "certificate": CERTIFICATE}
    assert (told(), told(edge="alb", **own), told(edge="alb")) == ("1", "1", "0")


def test_behind_cloudfront_it_knows_that_the_last_address_is_nobody_s(make):
    def told(**aws):
        return {one["Name"]: one["Value"] for one in container(make(aws))["Environment"]}

    assert told()["MATINEE_BEHIND_CLOUDFRONT"] == "1"
    assert "MATINEE_BEHIND_CLOUDFRONT" not in told(edge="alb"), "a browser could say what it liked"
