"""AWS Lambda on this machine: the Invoke API for callers and the Runtime API for workers, as AWS documents them."""

from matinee.backends.local.lambda_service.function import LocalFunction, worker_command
from matinee.backends.local.lambda_service.pool import Limits
from matinee.backends.local.lambda_service.service import LambdaService

__all__ = ["LambdaService", "Limits", "LocalFunction", "worker_command"]
