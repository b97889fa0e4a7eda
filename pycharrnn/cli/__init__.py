"""The command line: what a user types and reads.

Nothing here is for other rooms to import; `main` is the console script.
It may import every other room.
"""
