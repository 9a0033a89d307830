"""Lets ``python -m slidelab`` do what ``slidelab`` does."""

from .cli import main

if __name__ == "__main__":
    main()
