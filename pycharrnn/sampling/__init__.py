"""Sampling text from a model: one text, many, beam search, chat. On the CPU it does not import PyTorch."""
