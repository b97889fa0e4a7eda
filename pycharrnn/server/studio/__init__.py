"""`pycharrnn studio`: uploads texts, runs `pycharrnn train` on them, and imports, exports and deletes models."""
