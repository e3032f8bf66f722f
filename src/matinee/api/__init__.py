"""The HTTP API beside the UI: an app's predictors and runs for programs (`/api/v1`) and assistants (`/mcp`)."""
