"""Service-linked roles: fresh accounts lack them, and CloudFormation fails on the first service that wants one.

They are made by API before the stack, never in it: one in a template would collide with the one that is there.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-service-linked-roles.html
"""

from __future__ import annotations

from matinee.backends.aws.errors import code_of
from matinee.errors import BackendError
from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.events import Note, Report

ALWAYS = ("ecs.amazonaws.com", "elasticloadbalancing.amazonaws.com", "ecs.application-autoscaling.amazonaws.com")
CLOUDFRONT = "vpcorigin.cloudfront.amazonaws.com"
GPU = ("batch.amazonaws.com", "ecs-compute.amazonaws.com")
_THERE = ("InvalidInput", "EntityAlreadyExists")  # "Service role name … has been taken in this account"
_DENIED = ("AccessDenied", "AccessDeniedException")


def ensure_roles(cloud: Cloud, services: tuple[str, ...], report: Report) -> None:
    """Make the service-linked roles that are missing; who may not is told which, in case one is."""
    for service in services:
        try:
            made = cloud.call("iam", "create_service_linked_role", absent=_THERE, AWSServiceName=service)
        except BackendError as error:
            if code_of(error.__cause__ or error) not in _DENIED:
                raise
            command = f"aws iam create-service-linked-role --aws-service-name {service}"
            report(Note(f"The service-linked role of {service} could not be made: that is not allowed.",
                        f"If the deployment fails for it, have an administrator run `{command}`."))  # fmt: skip
            continue
        if made is not None:
            report(Note(f"Made the service-linked role of {service}, which this account did not have."))
