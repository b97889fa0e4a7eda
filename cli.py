#!/usr/bin/env python3
"""The pycharrnn command from a checkout: python cli.py train -data_dir data/ulysses"""

from pycharrnn.cli.commands import main

if __name__ == "__main__":
    main()
