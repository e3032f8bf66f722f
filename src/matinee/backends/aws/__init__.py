"""The adapters of the ports on AWS: DynamoDB, S3. boto3 is imported when a client is first needed (`session`)."""
