"""AWS's own runtime client (awslambdaric), also at a Runtime API below a path: `python -m …lambda_client HANDLER`.

The local Lambda service has a secret as the first part of every path. The native half of AWS's client puts what
AWS_LAMBDA_RUNTIME_API says before its paths, so that it takes a path as it is; the half in Python, which only reports a
start that failed, takes it for a host. That one method is mended here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from awslambdaric import lambda_runtime_client


class _Client(lambda_runtime_client.LambdaRuntimeClient):  # type: ignore[misc]
    lambda_runtime_address: str

    def call_rapid(
        self,
        http_method: str,
        endpoint: str,
        expected_http_code: int,
        payload: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.lambda_runtime_address, slash, path = self.lambda_runtime_address.partition("/")
        super().call_rapid(http_method, slash + path + endpoint, expected_http_code, payload, headers)


def serve(arguments: Sequence[str]) -> None:
    """Take requests until the service ends this process; `arguments` are awslambdaric's: its name, the handler."""
    lambda_runtime_client.LambdaRuntimeClient = _Client
    from awslambdaric.__main__ import main

    main(arguments)


if __name__ == "__main__":
    serve(sys.argv)
