"""The command line: parse, call an operation, render what it returns. Data to stdout, everything else to stderr."""
