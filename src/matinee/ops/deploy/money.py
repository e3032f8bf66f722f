"""Costs by tag: budgets and bills of a stage stay empty until its tag is activated for cost allocation.

AWS knows a tag for this only a day after something carried it, so the first deployment is usually too early; it is
tried at every one that changes something.
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/activating-tags.html
"""

from __future__ import annotations

from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.events import Note, Report
from matinee.stack import Blueprint
from matinee.stack.sheet import NAME_TAG

_TAGS = (NAME_TAG, "matinee:app", "matinee:stage")
_REFUSED = frozenset({"AccessDeniedException", "LimitExceededException", "ValidationException"})


def activate_tag(cloud: Cloud, blueprint: Blueprint, report: Report) -> None:
    """Activate the tag where the stage has a budget; where that is not possible yet, say what to do."""
    if not blueprint.aws.budget_usd or cloud.endpoint:
        return
    answer = cloud.call(
        "ce",
        "update_cost_allocation_tags_status",
        absent=_REFUSED,
        CostAllocationTagsStatus=[{"TagKey": key, "Status": "Active"} for key in _TAGS],
    )
    if answer is None or answer.get("Errors"):
        report(
            Note(
                f"The budget counts what has the tag {NAME_TAG}, and AWS cannot activate that tag yet.",
                "A day from now: deploy again, or activate it under Billing, Cost allocation tags.",
            )
        )
