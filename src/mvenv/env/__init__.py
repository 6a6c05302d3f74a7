"""The environment: bare, its scripts, its receipt, its present state."""
