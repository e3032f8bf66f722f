"""The batch worker: a supervisor that holds the lease, and a child that runs the predictor."""
