"""The small judge of policies, on what AWS's documentation says of each case."""

from __future__ import annotations

import pytest

from matinee.rehearsal.iam import allows, items_needed

TABLE = "arn:aws:dynamodb:eu-central-1:000000000000:table/app"
OWN = {
    "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["STATE#*"]},
    "Null": {"dynamodb:LeadingKeys": "false"},
}


def statement(effect="Allow", action="dynamodb:GetItem", resource=TABLE, **condition):
    return {"Effect": effect, "Action": action, "Resource": resource, "Condition": condition}


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([statement()], True),
        ([statement(action=["dynamodb:Get*"])], True),
        ([statement(action="dynamodb:PutItem")], False),
        ([statement(resource="*")], True),
        ([statement(resource=TABLE + "2")], False),
        ([], False),
        ([statement(), statement("Deny")], False),
        ([statement("Deny", resource=TABLE + "/index/*"), statement()], True),
        ([statement(StringEquals={"aws:Unknown": "x"})], False),
        ([statement(NoSuchOperator={"dynamodb:LeadingKeys": "x"})], False),
    ],
)
def test_an_action_is_allowed_when_a_statement_allows_it_and_none_denies_it(statements, allowed):
    assert allows(statements, "dynamodb:GetItem", TABLE) is allowed


@pytest.mark.parametrize(
    ("keys", "allowed"),
    [
        (["STATE#a"], True),
        (["STATE#a", "STATE#b"], True),
        (["STATE#a", "RUN#1"], False),
        (["USERS"], False),
        (None, False),
    ],
)
def test_leading_keys_must_all_be_ones_own_and_there_must_be_some(keys, allowed):
    context = {"dynamodb:leadingkeys": keys} if keys else {}
    assert allows([statement(**OWN)], "dynamodb:GetItem", TABLE, context) is allowed


def test_a_transaction_needs_each_of_its_parts_with_its_own_key():
    put = {"Put": {"TableName": "app", "Item": {"pk": {"S": "RUN#1"}}}}
    check = {"ConditionCheck": {"TableName": "app", "Key": {"pk": {"S": "STATE#a"}}}}
    assert list(items_needed("TransactWriteItems", {"TransactItems": [put, check]})) == [
        ("dynamodb:PutItem", "table/app", {"dynamodb:leadingkeys": ["RUN#1"]}),
        ("dynamodb:ConditionCheckItem", "table/app", {"dynamodb:leadingkeys": ["STATE#a"]}),
    ]


def test_a_batch_needs_all_its_keys_and_a_query_has_none():
    asked = {"RequestItems": {"app": {"Keys": [{"pk": {"S": "A"}}, {"pk": {"S": "B"}}]}}}
    assert list(items_needed("BatchGetItem", asked)) == [
        ("dynamodb:BatchGetItem", "table/app", {"dynamodb:leadingkeys": ["A", "B"]})
    ]
    assert list(items_needed("Query", {"TableName": "app"})) == [("dynamodb:Query", "table/app", {})]
