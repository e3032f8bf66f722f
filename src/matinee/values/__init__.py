"""Values: the registry of their types, their JSON Schema and their JSON, checked by one validator everywhere."""
