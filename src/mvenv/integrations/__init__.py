"""What lets other tools use the store, each removable without the others.

Entry points name their modules. Those are imported by every run of the other tool,
whether or not mvenv is asked for, so they import nothing of ours before it is.
"""
