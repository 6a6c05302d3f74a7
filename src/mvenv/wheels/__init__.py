"""A wheel, zipped or unpacked: its files, its manifest, its metadata."""
