"""Policies as documents: a role's, who takes a role on, and what repository, bucket and topic let others do."""

from __future__ import annotations

from typing import Any

from matinee.stack.blueprint import Blueprint
from matinee.stack.parameters import BUCKET, PUBLIC_PREFIX
from matinee.stack.permissions import Role, Statement
from matinee.stack.sheet import arn, said

Json = Any


def policy(statements: tuple[Statement, ...]) -> dict[str, Json]:
    """Return a policy of these statements."""
    return {"Version": "2012-10-17", "Statement": [statement.as_json() for statement in statements]}


def trust(role: Role) -> dict[str, Json]:
    """Return who takes the role on: the service, for this account alone (the confused deputy's remedy).

    https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    condition = {"StringEquals": {"aws:SourceAccount": said("${AWS::AccountId}")}}
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
                "Condition": {"ArnLike": {"aws:SourceArn": said(arn("lambda", f"function:{b.names.prefix}*"))}},
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
            "Resource": [said(bucket), said(bucket + "/*")],
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
                "Resource": said(f"{bucket}/{PUBLIC_PREFIX}*"),
                "Condition": {"ArnLike": {"aws:SourceArn": said(distributions)}},  # the account is in the ARN
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
                "Resource": said(arn("sns", b.names.resource("alarms"))),
                "Condition": {
                    "ArnLike": {"aws:SourceArn": said(arn("cloudwatch", f"alarm:{b.names.prefix}*"))},
                    "StringEquals": {"aws:SourceAccount": said("${AWS::AccountId}")},
                },
            }
        ],
    }
