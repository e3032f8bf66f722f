"""A bill: lines of quantity times price, and what is assumed of the app's use."""

from __future__ import annotations

from dataclasses import dataclass

from matinee.prices import Price


@dataclass(frozen=True)
class Usage:
    """One month. What people say is in the first line; the rest is assumed, and shown with the bill."""

    users: int = 5
    predictions: int = 1_000
    runs: int = 50  # of batch predictors

    prediction_s: float = 1.0
    run_s: float = 300.0
    mb_per_user: float = 100.0  # what a person's pages load
    kb_per_prediction: float = 10.0  # in S3 and the table, kept
    mb_per_run: float = 1.0
    log_kb_per_prediction: float = 2.0
    log_mb_per_run: float = 0.1
    image_gb: float = 0.3  # of one component and version, beyond what versions share
    versions_kept: int = 5


IDLE = Usage(users=0, predictions=0, runs=0)  # deployed and not used


@dataclass(frozen=True)
class Line:
    """`quantity` of something in a month, of which `free` cost nothing. `subject` groups lines: UI, table, …"""

    subject: str
    item: str
    quantity: float
    price: Price
    note: str = ""
    share: float = 1.0  # of the price: Spot capacity

    @property
    def free(self) -> float:
        """How much of the quantity costs nothing."""
        return min(self.quantity, self.price.free)

    @property
    def usd(self) -> float:
        """(quantity - free) times price times share."""
        return (self.quantity - self.free) * self.price.usd * self.share


@dataclass(frozen=True)
class Bill:
    """`unpriced`: types of resources that are not known here, so that nothing is left out in silence."""

    lines: tuple[Line, ...]
    usage: Usage
    unpriced: tuple[str, ...] = ()

    @property
    def total_usd(self) -> float:
        """The sum of the lines."""
        return sum(line.usd for line in self.lines)

    def of(self, subject: str) -> float:
        """Return what one subject costs."""
        return sum(line.usd for line in self.lines if line.subject == subject)
