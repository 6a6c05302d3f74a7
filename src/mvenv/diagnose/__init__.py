"""Look at an environment and its store, and say what is not as it must be."""
