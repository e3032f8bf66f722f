"""AWS Lambda on this machine: the Invoke API for callers and the Runtime API for workers, as AWS documents them."""
