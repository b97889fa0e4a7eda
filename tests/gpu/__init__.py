"""What only a machine with a GPU can show; run.py says how."""
