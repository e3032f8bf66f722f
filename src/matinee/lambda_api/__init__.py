"""Calling Lambda functions by boto3, at AWS and at the local Lambda service, and reading what they answer."""
