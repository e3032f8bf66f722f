"""A start that takes SLEEP_S, a request that takes WORK_S; says how many starts there were."""

import os
import time
from pathlib import Path

with Path(os.environ["STARTS"]).open("a") as file:
    file.write("x")
time.sleep(float(os.environ["SLEEP_S"]))


def handler(event, context):
    time.sleep(float(os.environ.get("WORK_S", "0")))
    return {"starts": len(Path(os.environ["STARTS"]).read_text())}
