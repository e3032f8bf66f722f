"""One module per page; each draws itself from what `session` reads."""
