"""Deploy an app to an AWS account. CloudFormation is the planner and executor: `stacks` drives it."""
