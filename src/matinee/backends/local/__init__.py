"""The laptop's backend: SQLite, a folder, processes. Needs nothing but Python."""
