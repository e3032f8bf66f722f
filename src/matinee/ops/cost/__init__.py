"""What an app costs a month: templates + how much it is used → lines, each a quantity times a dated price.

templates → what is there (`inventory`) → lines (`running`, `used`) → a bill, whose total is their sum and nothing else.
`monthly_cost` asks nobody; `report.cost_of` makes the templates of an app and compares what its switches would save.
"""

from __future__ import annotations

from matinee.ops.cost.bill import Bill, Line, Usage
from matinee.ops.cost.monthly import monthly_cost

__all__ = ["Bill", "Line", "Usage", "monthly_cost"]
