"""Processes: started on demand, kept warm, limited, replaced, ended."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from matinee.backends.local.lambda_service.service import Limits
from matinee.errors import BackendError

from .conftest import wait_until


def is_alive(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def tail(answer):
    return base64.b64decode(answer["LogResult"]).decode()


def test_a_warm_process_is_used_again(lambdas, runtime_client):
    lambdas.function(client=runtime_client)
    assert len({lambdas.call()["pid"] for _ in range(3)}) == 1


def test_each_request_at_the_same_time_has_its_own_process(lambdas, runtime_client):
    lambdas.function(client=runtime_client, concurrency=2)
    note, go = lambdas.folder / "ran", lambdas.folder / "go"
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(lambdas.call, "echo", {"note": str(note), "until": str(go)}) for _ in range(2)]
        wait_until(lambda: note.exists() and len(set(note.read_text().split())) == 2)
        go.touch()
        assert len({call.result()["pid"] for call in calls}) == 2


def test_more_requests_than_the_concurrency_wait_their_turn(lambdas):
    lambdas.function(concurrency=1)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda n: lambdas.call("echo", {"n": n}), range(3)))
    assert [a["event"]["n"] for a in answers] == [0, 1, 2]
    assert len({a["pid"] for a in answers}) == 1


def test_a_handler_learns_its_environment_request_and_deadline(lambdas, runtime_client):
    lambdas.function(client=runtime_client, version="v3", environment={"MINE": "1", "AWS_REGION": "us-east-1"})
    answer, told = lambdas.invoke()
    environment = told["environment"]
    assert told["request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert told["arn"] == "arn:aws:lambda:eu-central-1:000000000000:function:echo"
    assert 5_000 < told["left_ms"] <= 10_000
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "echo"
    assert environment["AWS_LAMBDA_FUNCTION_VERSION"] == "v3"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert environment["AWS_LAMBDA_LOG_GROUP_NAME"] == "/aws/lambda/echo"
    assert environment["_HANDLER"] == "echo.handler"
    assert environment["LAMBDA_TASK_ROOT"].endswith("handlers")
    assert environment["MINE"] == "1"
    assert environment["AWS_REGION"] == "eu-central-1", "reserved, as on AWS"


def test_real_credentials_do_not_reach_a_process(lambdas, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.setenv(name, "real")
    lambdas.function(environment=dict(os.environ))
    assert "real" not in [value for name, value in lambdas.call()["environment"].items() if name.startswith("AWS_")]


def test_an_exception_is_a_function_error_with_its_type_message_and_trace(lambdas, runtime_client):
    lambdas.function(client=runtime_client)
    answer, problem = lambdas.invoke(payload={"raise": "no such thing"}, LogType="Tail")
    assert answer["StatusCode"] == 200
    assert answer["FunctionError"] == "Unhandled"
    assert (problem["errorType"], problem["errorMessage"]) == ("ValueError", "no such thing")
    assert "echo.py" in "".join(problem["stackTrace"])
    assert "[ERROR] ValueError: no such thing" in tail(answer)


def test_a_result_that_is_no_json_is_a_marshal_error(lambdas, runtime_client):
    lambdas.function(client=runtime_client)
    assert lambdas.call(payload={"unserialisable": 1})["errorType"] == "Runtime.MarshalError"


def test_a_timeout_kills_the_process_and_says_the_limit(lambdas, runtime_client):
    lambdas.function(client=runtime_client, timeout_s=0.5)
    pid = lambdas.call()["pid"]
    begun = time.monotonic()
    answer, problem = lambdas.invoke(payload={"sleep_s": 30}, LogType="Tail")
    assert time.monotonic() - begun < 3
    assert answer["FunctionError"] == "Unhandled"
    assert problem["errorType"] == "Sandbox.Timedout"
    assert problem["errorMessage"].endswith("Error: Task timed out after 0.50 seconds")
    assert "Status: timeout" in tail(answer)
    wait_until(lambda: not is_alive(pid))
    assert lambdas.call()["pid"] != pid


def test_memory_over_the_limit_kills_the_process(lambdas, runtime_client):
    lambdas.function(client=runtime_client, memory_mb=128)
    answer, problem = lambdas.invoke(payload={"hold_mb": 300})
    assert answer["FunctionError"] == "Unhandled"
    assert problem["errorType"] == "Runtime.OutOfMemory"
    assert problem["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells shared pages from others")
def test_pages_that_forked_processes_share_count_once(lambdas, runtime_client):
    lambdas.function(client=runtime_client, memory_mb=256)
    answer, result = lambdas.invoke(payload={"share_mb": 100, "forks": 4})  # 500 MB resident, 100 MB in fact
    assert "FunctionError" not in answer, result


@pytest.mark.parametrize(
    ("event", "how"),
    [({"exit": 3}, "exit status 3"), ({"kill": 1}, "signal: killed"), ({"exit": 0}, "providing a reason")],
)
def test_a_process_that_ends_is_an_exit_error_and_the_next_request_has_a_new_one(lambdas, runtime_client, event, how):
    lambdas.function(client=runtime_client)
    answer, problem = lambdas.invoke(payload=event)
    assert answer["FunctionError"] == "Unhandled"
    assert problem["errorType"] == "Runtime.ExitError"
    assert problem["errorMessage"].endswith(how)
    assert lambdas.call()["pid"]


def test_kill_9_of_a_process_amid_a_request_is_told_at_once(lambdas, runtime_client):
    lambdas.function(client=runtime_client)
    note = lambdas.folder / "ran"
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(lambdas.call, "echo", {"note": str(note), "sleep_s": 9})
        os.kill(int(wait_until(lambda: note.exists() and note.read_text())), signal.SIGKILL)
        assert call.result(5)["errorType"] == "Runtime.ExitError"


def test_kill_9_of_an_idle_process_is_not_noticed_by_callers(lambdas, runtime_client):
    lambdas.function(client=runtime_client)
    pid = lambdas.call()["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    assert lambdas.call()["pid"] != pid


@pytest.mark.parametrize(
    ("handler", "kind", "words"),
    [
        ("broken.handler", "RuntimeError", "no model file"),
        ("nowhere.handler", "Runtime.ImportModuleError", "No module named 'nowhere'"),
        ("echo.nothing", "Runtime.HandlerNotFound", "'nothing'"),
    ],
)
def test_a_start_that_fails_says_why(lambdas, runtime_client, handler, kind, words):
    lambdas.function(handler=handler, client=runtime_client)
    with ThreadPoolExecutor(3) as pool:
        for answer, problem in pool.map(lambda _: lambdas.invoke(), range(3)):
            assert answer["FunctionError"] == "Unhandled"
            assert problem["errorType"] == kind
            assert words in problem["errorMessage"]


def test_a_start_that_takes_too_long_is_a_timeout(lambdas, monkeypatch):
    monkeypatch.setattr("matinee.backends.local.lambda_service.worker.INIT_LIMIT_S", 0.2)
    lambdas.function(handler="slow_start.handler", timeout_s=0.3)
    assert lambdas.call()["errorType"] == "Sandbox.Timedout"
    assert sum("INIT_REPORT" in line for *_, line in lambdas.logs) == 1, "it is tried again once"


def test_a_start_over_the_limit_is_tried_again_with_the_timeout_of_the_function(lambdas, monkeypatch):
    monkeypatch.setattr("matinee.backends.local.lambda_service.worker.INIT_LIMIT_S", 0.2)
    starts = lambdas.folder / "starts"
    lambdas.function(handler="slow_once.handler", timeout_s=30, environment={"STARTS": str(starts), "SLEEP_S": "0.5"})
    answer, told = lambdas.invoke(LogType="Tail")
    assert "FunctionError" not in answer
    assert told["starts"] <= 2
    assert "Init Duration" not in tail(answer), "the second start is a part of the request"
    assert lambdas.call() == told, "it is warm now"
    assert any("started once more" in line for *_, line in lambdas.logs)


def test_the_second_start_counts_in_the_timeout(lambdas, monkeypatch):
    monkeypatch.setattr("matinee.backends.local.lambda_service.worker.INIT_LIMIT_S", 0.1)
    starts = lambdas.folder / "starts"
    environment = {"STARTS": str(starts), "SLEEP_S": "1.2", "WORK_S": "1.2"}
    lambdas.function(handler="slow_once.handler", timeout_s=2, environment=environment)
    assert lambdas.call()["errorType"] == "Sandbox.Timedout", "neither the start nor the work alone take as long"


def test_a_command_that_is_not_there_is_an_exit_error(lambdas):
    from matinee.backends.local.lambda_service.function import LocalFunction

    lambdas.service.put_function(LocalFunction("none", ["/nowhere/python"]))
    assert lambdas.call("none")["errorType"] == "Runtime.ExitError"


def test_the_log_has_lambdas_lines_and_what_was_written(lambdas, runtime_client):
    lambdas.function(client=runtime_client)
    first, told = lambdas.invoke(payload={"print": "hello"}, LogType="Tail")
    lines = tail(first).splitlines()
    assert re.fullmatch(rf"START RequestId: {told['request_id']} Version: \$LATEST", lines[0])
    assert lines.count("hello") == 2
    assert any("logged" in line for line in lines)
    assert lines[-2] == f"END RequestId: {told['request_id']}"
    report = (
        rf"REPORT RequestId: {told['request_id']}\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\t"
        r"Memory Size: 256 MB\tMax Memory Used: [1-9]\d* MB\tInit Duration: [\d.]+ ms"
    )
    assert re.fullmatch(report, lines[-1])
    second, _ = lambdas.invoke(LogType="Tail")
    assert "Init Duration" not in tail(second)
    assert "hello" not in tail(second)


def test_the_log_tail_is_the_last_4_kb(lambdas):
    lambdas.function()
    answer, _ = lambdas.invoke(payload={"print": "\n".join(map(str, range(5000)))}, LogType="Tail")
    assert len(base64.b64decode(answer["LogResult"])) == 4096


def test_lines_are_handed_over_with_function_and_run(lambdas):
    lambdas.function()
    context = base64.b64encode(b'{"custom": {"run": "R1"}}').decode()
    lambdas.call(payload={"print": "hello"}, ClientContext=context)
    assert ("echo", "R1", "hello") in lambdas.logs


def test_a_changed_function_gets_new_processes_and_others_keep_theirs(lambdas):
    lambdas.function("a")
    lambdas.function("b")
    before = {name: lambdas.call(name)["pid"] for name in "ab"}
    lambdas.function("a", version="v2")
    lambdas.function("b")
    assert lambdas.call("a")["pid"] != before["a"]
    assert lambdas.call("b")["pid"] == before["b"], "unchanged"
    wait_until(lambda: not is_alive(before["a"]))


def test_a_request_that_runs_while_its_function_changes_is_answered(lambdas):
    lambdas.function(version="v1")
    note, go = lambdas.folder / "ran", lambdas.folder / "go"
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(lambdas.invoke, "echo", {"note": str(note), "until": str(go)})
        old = int(wait_until(lambda: note.exists() and note.read_text()))
        waiting = pool.submit(lambdas.invoke, "echo")
        lambdas.function(version="v2")
        assert waiting.result(10)[0]["ExecutedVersion"] == "v2"
        go.touch()
        assert running.result(10)[0]["ExecutedVersion"] == "v1"
    wait_until(lambda: not is_alive(old))


def test_a_removed_function_is_unknown_and_its_processes_end(lambdas):
    lambdas.function()
    pid = lambdas.call()["pid"]
    lambdas.service.remove_function("echo")
    with pytest.raises(lambdas.client.exceptions.ResourceNotFoundException):
        lambdas.call()
    wait_until(lambda: not is_alive(pid))


def test_an_idle_process_is_ended(make_service):
    lambdas = make_service(limits=Limits(idle_s=0.2))
    lambdas.function()
    pid = lambdas.call()["pid"]
    wait_until(lambda: not is_alive(pid))
    assert lambdas.call()["pid"] != pid


@pytest.mark.skipif(sys.platform != "linux", reason="found by Linux's /proc")
@pytest.mark.parametrize("event", [{"exit": 3}, {"kill": True}, {"sleep_s": 50}], ids=["exit", "killed", "timeout"])
def test_what_has_left_its_session_ends_with_its_predictor(lambdas, event):
    lambdas.function(timeout_s=2)
    orphan = lambdas.folder / "orphan"
    assert lambdas.call(payload={"orphan": str(orphan), **event})["errorType"]
    pid = int(orphan.read_text())
    wait_until(lambda: not is_alive(pid))


def test_stop_ends_processes_and_their_children(make_service):
    lambdas = make_service()
    lambdas.function()
    child = lambdas.folder / "child"
    pids = [lambdas.call(payload={"child": str(child)})["pid"], int(child.read_text())]
    lambdas.service.stop()
    assert not any(map(is_alive, pids))


def test_no_process_outlives_a_service_that_is_killed(tmp_path):
    script = tmp_path / "serve.py"
    handlers = Path(__file__).parent / "handlers"
    script.write_text(
        "import sys, time\n"
        "from matinee.backends.local.lambda_service.function import LocalFunction\n"
        "from matinee.backends.local.lambda_service.service import LambdaService\n"
        "service = LambdaService(); service.start()\n"
        f"command = [sys.executable, '-m', 'awslambdaric', 'echo.handler']\n"
        f"service.put_function(LocalFunction('echo', command, cwd={str(handlers)!r}, concurrency=2))\n"
        "print(service.endpoint, service.secret, flush=True); time.sleep(60)\n"
    )
    served = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    try:
        from matinee.errors import MatineeError
        from matinee.lambda_api.invoker import LambdaInvoker

        endpoint, secret = served.stdout.readline().split()
        invoker = LambdaInvoker(endpoint, secret=secret)
        note, child = tmp_path / "ran", tmp_path / "child"
        event = f'{{"note": "{note}", "child": "{child}", "sleep_s": 50}}'.encode()
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(invoker.invoke, "echo", event)
            wait_until(lambda: note.exists() and child.exists() and child.read_text())
            pids = [int(file.read_text()) for file in (note, child)]
            served.kill()
            assert isinstance(call.exception(10), MatineeError)
        wait_until(lambda: not any(map(is_alive, pids)), within_s=3)
    finally:
        served.kill()
        served.wait()


def test_a_port_in_use_is_said(make_service):
    from matinee.backends.local.lambda_service.service import LambdaService

    taken = int(make_service().service.endpoint.rpartition(":")[2])
    with pytest.raises(BackendError, match=f"Port {taken} of 127.0.0.1 cannot be used"):
        LambdaService(port=taken).start()
