"""The CloudFormation stacks of an app, from its manifests and `matinee.toml`: pure, deterministic."""
