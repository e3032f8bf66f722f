"""The Model Context Protocol endpoint, by the SDK's own client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def mcp_on(host) -> Iterator[None]:
    live = host.backend.store.release()
    host.publish(replace(live, details={**live.details, "api": {"mcp": True}}))
    yield
    host.publish(live)


@pytest.fixture
def assistant(served, url: str, mcp_on: None) -> Callable[..., Any]:
    token = served.token("iris")

    @asynccontextmanager
    async def connected(**options: Any) -> AsyncIterator[Client]:
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=30) as http,
            Client(streamable_http_client(f"{url}/mcp", http_client=http), **options) as client,
        ):
            yield client

    return connected


async def test_each_predictor_is_a_tool_with_its_input_schema(assistant):
    async with assistant() as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {"greet", "shout", "greet_all", "matinee_read_run"}
    assert tools["greet"].description == "Say hello."
    assert tools["greet"].input_schema["required"] == ["name"]
    assert "base64" in tools["shout"].input_schema["properties"]["file"]["properties"]


async def test_a_tool_predicts_and_the_run_is_the_callers(assistant, served):
    async with assistant() as client:
        answer = await client.call_tool("greet", {"name": "Ada"})
    assert not answer.is_error
    assert answer.structured_content["result"]["text"] == "Hello, Ada!"
    assert json.loads(answer.content[0].text)["text"] == "Hello, Ada!"
    assert served.store.run(answer.structured_content["run"]).user == "iris"


async def test_an_assistant_of_before_the_present_protocol_is_served_too(assistant):
    async with assistant(mode="legacy") as client:
        answer = await client.call_tool("greet", {"name": "Ada"})
    assert answer.structured_content["result"]["text"] == "Hello, Ada!"


async def test_a_batch_predictor_answers_with_its_run_and_a_tool_reads_it(assistant):
    async with assistant() as client:
        answer = await client.call_tool("greet_all", {"names": ["Ada"]})
        run = answer.structured_content["run"]
        for _ in range(200):
            answer = await client.call_tool("matinee_read_run", {"run": run})
            if answer.structured_content["status"] == "succeeded":
                break
    assert answer.structured_content["result"] == {"Ada": "Hello, Ada!"}


@pytest.mark.parametrize(
    ("tool", "inputs", "words"),
    [
        ("greet", {}, "name: is required"),
        ("greet", {"name": "trouble"}, "I do not greet trouble"),
        ("grete", {}, "Did you mean greet"),
        ("matinee_read_run", {"run": "nonsense"}, "There is no run"),
        ("matinee_read_run", {}, "run: is required"),
    ],
)
async def test_what_goes_wrong_is_told_in_words_an_assistant_can_use(assistant, tool, inputs, words):
    async with assistant() as client:
        answer = await client.call_tool(tool, inputs)
    assert answer.is_error
    assert words in answer.content[0].text
    assert "Traceback" not in answer.content[0].text


async def test_it_is_off_by_default_and_asks_for_a_token(served, url: str, host):
    async with httpx2.AsyncClient() as http:
        answer = await http.post(f"{url}/mcp", headers={"Authorization": f"Bearer {served.token('iris')}"}, json={})
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        answer = await http.post(f"{url}/mcp", headers={"Authorization": "Bearer mat_wrong"}, json={})
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
