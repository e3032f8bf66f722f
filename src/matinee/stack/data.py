"""What is kept when the app is destroyed, unless it is asked for: repository, table, bucket, log groups.

`RetainExceptOnCreate` with names of their own: a stack that is made again finds them (a change set imports what is
there), and a first try that fails leaves nothing behind.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html
"""

from __future__ import annotations

import json
from typing import Any

from troposphere import AWSObject, GetAtt, Ref, dynamodb, ecr, logs, s3, secretsmanager

from matinee.names import EXPIRES, table_definition
from matinee.settings import DISPATCHER, PASSWORD
from matinee.stack import blueprint, permissions
from matinee.stack.blueprint import KEPT, RETAINED, UI, Blueprint, logical, tags_of
from matinee.stack.builder import Sheet


def template(b: Blueprint) -> dict[str, Any]:
    """Return the data's template."""
    sheet = Sheet(f"Matinee: what {b.names.app} ({b.names.stage}) keeps", blueprint.data_parameters(), tags_of(b))
    repository = _repository(sheet, b)
    table = _table(sheet, b)
    bucket = _bucket(sheet, b)
    _log_group(sheet, b, "UiLogs", UI)
    _log_group(sheet, b, "DispatcherLogs", DISPATCHER)
    for predictor in b.predictors:
        _log_group(sheet, b, f"Logs{logical(predictor.name)}", predictor.name)
    sheet.give("Repository", GetAtt(repository, "RepositoryUri"), "The repository of the images")
    sheet.give("Table", Ref(table), "The table")
    sheet.give("Bucket", Ref(bucket), "The bucket")
    if blueprint.is_password_in_secrets_manager(b):
        sheet.give(blueprint.PASSWORD_SECRET, Ref(_password(sheet, b)), "The password")
    return sheet.done()


def _retain(resource: AWSObject) -> AWSObject:
    resource.DeletionPolicy, resource.UpdateReplacePolicy = KEPT, RETAINED
    return resource


def _repository(sheet: Sheet, b: Blueprint) -> Any:
    untagged = {
        "rulePriority": 1,
        "description": "What lost its tag",
        "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 7},
        "action": {"type": "expire"},
    }
    return sheet.add(
        _retain(
            ecr.Repository(
                "Repository",
                RepositoryName=b.names.base,
                ImageTagMutability="IMMUTABLE",  # a tag is a content hash
                ImageScanningConfiguration=ecr.ImageScanningConfiguration(ScanOnPush=True),
                EmptyOnDelete=True,
                # Images that a release may need are the tool's to remove: it knows the releases.
                LifecyclePolicy=ecr.LifecyclePolicy(LifecyclePolicyText=_compact({"rules": [untagged]})),
                RepositoryPolicyText=permissions.repository_policy(b),
            )
        )
    )


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _table(sheet: Sheet, b: Blueprint) -> Any:
    definition = table_definition(b.names.base)
    capacity = b.aws.table
    paid: dict[str, Any] = {}
    if capacity:
        definition["BillingMode"] = "PROVISIONED"
        units = {"ReadCapacityUnits": capacity.read, "WriteCapacityUnits": capacity.write}
        paid = {"ProvisionedThroughput": dynamodb.ProvisionedThroughput(**units)}
    return sheet.add(
        _retain(
            dynamodb.Table(
                "Table",
                TableName=definition["TableName"],
                BillingMode=definition["BillingMode"],
                AttributeDefinitions=[dynamodb.AttributeDefinition(**a) for a in definition["AttributeDefinitions"]],
                KeySchema=[dynamodb.KeySchema(**k) for k in definition["KeySchema"]],
                GlobalSecondaryIndexes=[_index(index, paid) for index in definition["GlobalSecondaryIndexes"]],
                TimeToLiveSpecification=dynamodb.TimeToLiveSpecification(AttributeName=EXPIRES, Enabled=True),
                PointInTimeRecoverySpecification=dynamodb.PointInTimeRecoverySpecification(
                    PointInTimeRecoveryEnabled=True
                ),
                SSESpecification=dynamodb.SSESpecification(SSEEnabled=False),  # the key that is free: AWS's own
                **paid,
            )
        )
    )


def _index(definition: dict[str, Any], paid: dict[str, Any]) -> dynamodb.GlobalSecondaryIndex:
    return dynamodb.GlobalSecondaryIndex(
        IndexName=definition["IndexName"],
        KeySchema=[dynamodb.KeySchema(**k) for k in definition["KeySchema"]],
        Projection=dynamodb.Projection(**definition["Projection"]),
        **paid,
    )


def _bucket(sheet: Sheet, b: Blueprint) -> Any:
    bucket = sheet.add(
        _retain(
            s3.Bucket(
                "Bucket",
                BucketName=Ref(blueprint.BUCKET),
                BucketEncryption=s3.BucketEncryption(
                    ServerSideEncryptionConfiguration=[
                        s3.ServerSideEncryptionRule(
                            ServerSideEncryptionByDefault=s3.ServerSideEncryptionByDefault(SSEAlgorithm="AES256")
                        )
                    ]
                ),
                PublicAccessBlockConfiguration=s3.PublicAccessBlockConfiguration(
                    BlockPublicAcls=True, BlockPublicPolicy=True, IgnorePublicAcls=True, RestrictPublicBuckets=True
                ),
                OwnershipControls=s3.OwnershipControls(
                    Rules=[s3.OwnershipControlsRule(ObjectOwnership="BucketOwnerEnforced")]
                ),
                LifecycleConfiguration=s3.LifecycleConfiguration(Rules=_lifecycle()),
            )
        )
    )
    # It goes with its stack: a policy that stayed would keep the next one from being made.
    sheet.add(s3.BucketPolicy("BucketPolicy", Bucket=Ref(bucket), PolicyDocument=permissions.bucket_policy(b)))
    return bucket


def _lifecycle() -> list[s3.LifecycleRule]:
    return [
        s3.LifecycleRule(
            Id="uploads-nobody-finished",
            Status="Enabled",
            AbortIncompleteMultipartUpload=s3.AbortIncompleteMultipartUpload(DaysAfterInitiation=1),
        ),
        s3.LifecycleRule(Id="deployments", Status="Enabled", Prefix=blueprint.DEPLOY_PREFIX, ExpirationInDays=7),
    ]


def _log_group(sheet: Sheet, b: Blueprint, title: str, name: str) -> None:
    sheet.add(
        _retain(
            logs.LogGroup(
                title,
                LogGroupName=b.names.log_group(name),
                RetentionInDays=b.aws.log_retention_days,
            )
        )
    )


def _password(sheet: Sheet, b: Blueprint) -> Any:
    """Made with a random one, so that nobody's password passes through a template; the tool puts yours."""
    return sheet.add(
        _retain(
            secretsmanager.Secret(
                "Password",
                Name=b.names.parameter(PASSWORD).lstrip("/"),
                Description=f"The password of {b.title}",
                GenerateSecretString=secretsmanager.GenerateSecretString(PasswordLength=20, ExcludePunctuation=True),
            )
        )
    )
