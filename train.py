"""`python train.py`: see --help."""

from genlab.train import main

if __name__ == "__main__":
    main()
