"""The whole deployment, really running, on an emulated AWS on this machine."""
