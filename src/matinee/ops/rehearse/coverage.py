"""What a rehearsal shows and what it cannot, in one table: nobody should believe more of it than it does."""

from __future__ import annotations

COVERAGE: tuple[tuple[str, str], ...] = (
    ("Stacks, change sets, rollback", "emulated (MiniStack)"),
    ("IAM of every workload", "enforced: each works with temporary credentials of its own role"),
    ("DynamoDB, S3, SSM, CloudWatch Logs, ECR", "emulated (MiniStack)"),
    ("Lambda functions, versions, aliases", "run here: memory, timeout and payloads as Lambda limits them"),
    ("ECS tasks, UI service, circuit breaker", "run here: stop timeout, health check, restarts, replacement"),
    ("Schedules, task-stopped events", "played here, from the rules and schedules on record"),
    ("Load balancer, sticky sessions, WebSockets", "played here by one plain address"),
    ("CloudFront, TLS, VPC and security groups", "checked as template only"),
    ("Autoscaling, office hours, budget, alarms", "checked as template only"),
    ("GPU capacity, AWS Batch", "checked as template only"),
    ("Trust policies' aws:SourceAccount, the bucket's ban on plain HTTP", "checked as template only"),
    ("Quotas, cold-start times of AWS, cost, latency", "not covered"),
)
