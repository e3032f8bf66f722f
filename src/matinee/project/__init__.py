"""An app as its folder and `matinee.toml` say it: `load(path)` returns a frozen `Project`."""
