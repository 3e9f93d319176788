"""`python evaluate.py`: see --help."""

from genlab.evaluate import main

if __name__ == "__main__":
    main()
