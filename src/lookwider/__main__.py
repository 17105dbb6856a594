"""``python -m lookwider``: the command line, as torchrun and SLURM start it."""

from lookwider.cli import main

if __name__ == "__main__":
    main()
