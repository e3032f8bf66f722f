"""Predictors of plain types."""

import builtins
import logging
import sys
from dataclasses import dataclass

from matinee import context, realtime, state


@dataclass
class Greeting:
    text: str
    modules: list[str]


@realtime
def greet(name: str, loud: bool = False) -> Greeting:
    text = f"Hello {name}"
    return Greeting(text.upper() if loud else text, sorted(sys.modules))


@realtime
def fail(how: str) -> int:
    if how == "memory":
        raise MemoryError
    if how == "result":
        return "no number"  # type: ignore[return-value]
    if how == "CancelledError":
        from asyncio import CancelledError

        raise CancelledError("no such thing")
    raise getattr(builtins, how, ValueError)("no such thing")


@realtime
def who() -> list[str]:
    now = context()
    return [now.run_id, now.user, now.version, str(now.attempt), now.predictor, str(0 < now.deadline_s < 1e11)]


@realtime
def count(key: str) -> float:
    return state.increment(key)


@realtime
def repeat(text: str, times: int) -> str:
    return text * times


@realtime
def length(text: str) -> int:
    return len(text)


@realtime
def talk(text: str) -> list[str]:
    print(text)
    print("no end", end="")
    print("on stderr", file=sys.stderr)
    logging.getLogger("talker").info("info of %s", text)
    logging.warning("two\nlines")
    print("x" * 5000, "half a pair \ud83d")
    return [name for name in ("boto3", "botocore", "pydantic") if name in sys.modules]
