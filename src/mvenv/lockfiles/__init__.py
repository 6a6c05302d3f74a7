"""Lockfiles: text in, `Lockfile` out; one reader per format."""
