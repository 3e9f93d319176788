"""`python sample.py`: see --help."""

from genlab.sample import main

if __name__ == "__main__":
    main()
