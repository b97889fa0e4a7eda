"""What every package may use: options, errors, terminals, signals, locks. Imports nothing of pycharrnn outside."""
