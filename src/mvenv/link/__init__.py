"""Link modes, probing, and trees of files. Knows no wheels and no environments."""
