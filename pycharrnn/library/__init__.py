"""The Python interface: models, generated text and training runs as objects."""
