"""Calling Lambda functions, at AWS by boto3 and at the local Lambda service without, and reading what they answer."""
