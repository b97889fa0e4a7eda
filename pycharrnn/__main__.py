"""python -m pycharrnn"""

from pycharrnn.commands import main

if __name__ == "__main__":
    main()
