"""What a user's module imports: declarations, handles on other predictors, and what is at hand inside a run.

The package itself can be called: `from matinee import predictor` finds this package, because Python binds a sub-package
to its name in the parent, and people mean the function `predictor(name)`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, name: str) -> Any:
        """Return a handle on the predictor `name`; see `handle.predictor`."""
        from matinee.predictor.handle import predictor

        return predictor(name)


sys.modules[__name__].__class__ = _Callable
