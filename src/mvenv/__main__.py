"""``python -m mvenv`` is ``mvenv``."""

from mvenv.cli import main

if __name__ == "__main__":
    main()
