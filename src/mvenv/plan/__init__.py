"""What will be done, as values: `planning` makes a plan, `model` says what it is.

A plan is free of the environment's path; `record` keeps it as bytes.
"""
