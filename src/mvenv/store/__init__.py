"""The store: unpacked wheels by the sha256 of the wheel file, verified and sealed.

Knows no lockfile; an environment is an opaque root to it. ``docs/store-format.md``
is the format.
"""
