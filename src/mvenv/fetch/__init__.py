"""Getting files: from an index, a URL, a folder, or out of a build back end.

Knows no store, no environment and no plan: names, hashes and URLs come in, files of
proven content go out. The one door to `httpx2` and `unearth`.
"""
