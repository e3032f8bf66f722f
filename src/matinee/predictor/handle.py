"""`predictor(name)`: a handle on another predictor, inert until it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from matinee.errors import InputError, MatineeError, PredictionError
from matinee.predictor.declare import function_declared_as
from matinee.predictor.inside import bound

handled: list[str] = []  # names a handle was made for in this process: inspection reads them as `calls`


class Handle(NamedTuple):
    """Calls the predictor `name`: through the backend inside a run, else its plain function in this process."""

    name: str

    def __call__(self, **inputs: Any) -> Any:
        """Call and wait; results are read-only records. Raises PredictionError when the predictor fails."""
        binding = bound()
        if binding is None:
            return self._plain()(**inputs)
        return self._refusal_explained(lambda: binding.call(self.name, inputs))

    def map(self, rows: Iterable[Mapping[str, Any]]) -> list[Any]:
        """Call for every row in parallel; results in the rows' order."""
        binding = bound()
        if binding is not None:
            return list(self._refusal_explained(lambda: binding.map(self.name, list(rows))))
        from concurrent.futures import ThreadPoolExecutor

        function = self._plain()
        with ThreadPoolExecutor() as pool:
            return list(pool.map(lambda row: function(**row), rows))

    def submit(self, **inputs: Any) -> str:
        """Submit a run of a batch predictor and return its id."""
        binding = bound()
        if binding is not None:
            return str(self._refusal_explained(lambda: binding.submit(self.name, inputs)))
        raise MatineeError(
            f"{self.name}.submit() needs a running app, and this is a plain Python process.",
            hint="Call it directly to run it here, or use matinee.connect() to submit from outside.",
        )

    def _plain(self) -> Callable[..., Any]:
        function = function_declared_as(self.name)
        if function is None:
            raise MatineeError(
                f'predictor("{self.name}") was called, and no predictor of that name is declared in this process.',
                hint=f"In a test or a notebook import the module that declares {self.name} first; "
                "inside an app it is found by itself.",
            )
        return function

    def _refusal_explained(self, call: Callable[[], Any]) -> Any:
        """Call; inputs the callee refuses are this predictor's mistake, not its user's."""
        try:
            return call()
        except InputError as error:
            raise PredictionError(f"{self.name} refused its input: {error.message}.", hint=error.hint) from error


def predictor(name: str) -> Handle:
    """Return a handle on the predictor `name` of this app, whichever component holds it."""
    handled.append(name)
    return Handle(name)
