"""Who AWS takes this process for.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns
"""

from __future__ import annotations

from matinee.backends.aws.errors import explained
from matinee.backends.aws.session import Session


def caller_name(session: Session) -> str:
    """Return the caller's own name: of an IAM user, or of a role's session (with IAM Identity Center the sign-in name).

    Needs no permission: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
    """
    with explained("AWS (sts)", "sts:GetCallerIdentity", "*"):
        arn = str(session.client("sts").get_caller_identity()["Arn"])
    return name_in(arn)


def name_in(arn: str) -> str:
    """Return the last word of an ARN: `…:user/team/ada` and `…:assumed-role/Admin/ada` are ada, `…:root` is root."""
    return arn.rpartition(":")[2].rpartition("/")[2]
