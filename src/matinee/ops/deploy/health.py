"""Whether the address answers: the last thing a deployment looks at. A new name takes a while to be known."""

from __future__ import annotations

import urllib.error
import urllib.request

from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.events import Note, Report

PATH = "/_stcore/health"
LONGEST_S = 120.0
_ANSWER_S = 10.0


def check_answers(cloud: Cloud, url: str, report: Report) -> bool:
    """Ask until the UI is well; say so if it is not within LONGEST_S. An app that is asleep answers too."""
    begun, why = cloud.clock(), ""
    while True:
        try:
            with urllib.request.urlopen(url + PATH, timeout=_ANSWER_S):  # noqa: S310 - our own address
                return True
        except urllib.error.HTTPError as error:
            why = f"it answers {error.code}"
        except OSError as error:
            why = str(getattr(error, "reason", error))
        if cloud.clock() - begun > LONGEST_S:
            report(Note(f"{url} does not answer yet: {why}.", "A new address may take some minutes to be known."))
            return False
        cloud.pause()
