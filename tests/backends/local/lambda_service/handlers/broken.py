"""Cannot be imported."""

raise RuntimeError("no model file")
