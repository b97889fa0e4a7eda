"""Options, errors, terminals, signals and locks, for every package. Imports no other package of pycharrnn."""
