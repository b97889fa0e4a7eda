"""Samples text from a model: one text, many, items of a list, beam search, chat. On the CPU it imports no PyTorch.

Entry points: `sampler.sample`, `batched_sampling`, `items`, `beam`, `chat`, `inference`, `learning`, `primetext`,
`tokenizer` and `options`.
May import engine, text, checkpoints, common and compat.
"""
