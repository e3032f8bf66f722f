"""What tests and benchmarks share; importable as `support` (see `pythonpath` in pyproject.toml)."""
