"""Types, JSON Schema and JSON values: described once by pydantic at inspection, checked everywhere by `validate`."""
