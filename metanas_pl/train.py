"""``python -m metanas_pl.train``, the same as ``metanas-train``: for torchrun and srun."""

from metanas_pl.cli.train import main

if __name__ == "__main__":
    main()
