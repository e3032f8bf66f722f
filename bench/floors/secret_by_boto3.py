"""A predictor's handler that fetches its secret with boto3, as most functions do."""

from __future__ import annotations

import os

import boto3

_ssm = boto3.client("ssm", endpoint_url=os.environ["SSM_ENDPOINT"])
_answer = _ssm.get_parameters(Names=["/p/KEY"], WithDecryption=True)
os.environ["KEY"] = _answer["Parameters"][0]["Value"]

from matinee.runtime.realtime import handler  # noqa: E402

__all__ = ["handler"]
