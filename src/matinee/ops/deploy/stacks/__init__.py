"""Drives CloudFormation, which is our planner and executor: change sets, progress, causes, and a way out."""
