"""Text from a model: drawn, searched for, many samples at once, a conversation.

From outside: `inference`, `sampler`, `tokenizer`, `beam`, `many`, `chat`, `options`.
It may import engine, checkpoints and common, never training. On the CPU it loads no PyTorch.
"""
