"""`python -m lookalike`, and so `torchrun -m lookalike train` for several processes."""

from lookalike.cli.app import entry

if __name__ == "__main__":
    entry()
