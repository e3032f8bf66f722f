"""A handler that does what its event says."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def answer_with_forks(share_mb, forks):
    """Fork processes that read what their parent holds, as data loaders do, and live long enough to be measured."""
    held = bytes(range(256)) * 4096 * share_mb
    children = []
    for _ in range(forks):
        child = os.fork()
        if not child:
            held.count(b"x")  # every page is in the child's resident size, and shared all the same
            time.sleep(0.5)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def handler(event, context):  # noqa: C901 - a list of things to do
    if "note" in event:
        with Path(event["note"]).open("a") as file:
            file.write(f"{os.getpid()}\n")
    if "child" in event:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        Path(event["child"]).write_text(str(child.pid))
    if "orphan" in event:
        code = "import subprocess; print(subprocess.Popen(['sleep', '60'], start_new_session=True, stdout=-3).pid)"
        run = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
        Path(event["orphan"]).write_text(run.stdout)
    if "print" in event:
        print(event["print"])
        print(event["print"], file=sys.stderr)
        logging.info("logged")
    if "hold_mb" in event:
        held = bytearray(event["hold_mb"] * 2**20)
        time.sleep(10)
        del held
    if "share_mb" in event:
        answer_with_forks(event["share_mb"], event["forks"])
    if "until" in event:
        while not Path(event["until"]).exists():
            time.sleep(0.01)
    if "sleep_s" in event:
        time.sleep(event["sleep_s"])
    if "raise" in event:
        raise ValueError(event["raise"])
    if "exit" in event:
        os._exit(event["exit"])
    if "kill" in event:
        os.kill(os.getpid(), signal.SIGKILL)
    if "reply_bytes" in event:
        return "x" * event["reply_bytes"]
    if "unserialisable" in event:
        return object()
    return {
        "event": event,
        "pid": os.getpid(),
        "custom": context.client_context.custom if context.client_context else None,
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "left_ms": context.get_remaining_time_in_millis(),
        "environment": dict(os.environ),
    }
