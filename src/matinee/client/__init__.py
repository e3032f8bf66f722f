"""Connect to an app and use its predictors: by records (`connect`), by JSON (`core`), or hosting it here (`host`)."""
