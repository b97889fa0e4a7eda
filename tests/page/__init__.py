"""A package, so that its conftest.py is not imported as `conftest`, which is that of the folder above."""
