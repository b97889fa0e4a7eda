"""The keyword arguments of pycharrnn.train for type checkers: one for each field of TrainOptions."""

from __future__ import annotations

import os
from typing import TypedDict

Path = str | os.PathLike[str]


class TrainKeywords(TypedDict, total=False):
    """The flags of `pycharrnn train`; docs/flags.md describes them."""

    data_dir: Path
    rnn_size: int
    num_layers: int
    model: str
    learning_rate: float
    learning_rate_decay: float
    learning_rate_decay_after: float
    decay_rate: float
    dropout: float
    seq_length: int
    batch_size: int
    max_epochs: float
    grad_clip: float
    train_frac: float
    val_frac: float
    init_from: Path
    seed: int
    print_every: int
    eval_val_every: int
    checkpoint_dir: Path
    savefile: str
    accurate_gpu_timing: int
    gpuid: int
    opencl: int
    recipe: str
    minutes: float
    embedding_rate: float
    warmup: int
    anneal: float
    anneal_to: str
    weight_drop: float
    state_reset: float
    calibrate: int
    exact: int
    dtype: str
    old_exp: int
    initial_mean: float
    forget_bias: int
    resume: Path | None
    save_state: int
    checkpoint_format: str
    save_every_minutes: float
    keep: int
    patience: int
    lock: int
    overwrite: int
    progress: int
    val_lines: int
    show: int
    log: Path
    log_every_seconds: float
    threads: int
    vocab: str
    encoding: str
    items: str
    label: str
    text_encoding: str
    from_texts: int
