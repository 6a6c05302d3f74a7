"""``python -m mvenv`` is ``mvenv``, and ``python -m venv`` for any folder."""

from mvenv.cli import main

if __name__ == "__main__":
    main(as_module=True)
