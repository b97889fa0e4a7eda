"""RunSettings: a run's settings, as settle() returns them. Each object of the run gets one group, or single values."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeVar

from pycharrnn.text.data_settings import DataSettings
from pycharrnn.training.initial_checkpoint import InitialCheckpoint, ResumedRun
from pycharrnn.training.options import TrainOptions

_Group = TypeVar("_Group")


@dataclass(frozen=True)
class ModelSettings:
    model: str
    rnn_size: int
    num_layers: int
    dropout: float
    forget_bias: int
    seed: int


@dataclass(frozen=True)
class OptimisationSettings:
    learning_rate: float
    embedding_rate: float
    learning_rate_decay: float
    learning_rate_decay_after: float
    warmup: int
    anneal: float
    anneal_to: str
    decay_rate: float
    initial_mean: float
    grad_clip: float
    weight_drop: float
    state_reset: float
    calibrate: int
    max_epochs: float
    patience: int


@dataclass(frozen=True)
class FileSettings:
    """Files that the run writes; `checkpoint_format` is the name of a format that counts in folders."""

    checkpoint_dir: str
    savefile: str
    eval_val_every: int
    checkpoint_format: str
    save_every_minutes: float
    save_state: int
    keep: int
    lock: int
    overwrite: int
    log: str
    log_every_seconds: float

    @property
    def stem(self) -> str:
        """The common start of all file names of the run: cv/lm_lstm."""
        return f"{self.checkpoint_dir or '.'}/lm_{self.savefile}"

    @property
    def ending(self) -> str:
        """Of all checkpoints, as ".t7"."""
        return f".{self.checkpoint_format}"


@dataclass(frozen=True)
class MachineSettings:
    """The device, the precision and the threads of a run.

    Attributes:
        device: PyTorch's name: "cpu", "cuda:0", "mps". gpuid: its number for checkpoints to record; -1 for the CPU.
        parameters: precision of the parameters, "float64" or "float32".
        products: precision of mixed-precision products, "bfloat16" or "float16"; "" for that of the parameters.
        threads: 0 for PyTorch's own number.
    """

    device: str
    gpuid: int
    parameters: str
    products: str
    exact: int
    old_exp: int
    threads: int
    accurate_gpu_timing: int


@dataclass(frozen=True)
class DisplaySettings:
    print_every: int
    progress: int
    val_lines: int
    show: int


@dataclass(frozen=True)
class RunSettings:
    """The settings of a run before any of its objects is made.

    Attributes:
        options: all options with their final values, for checkpoints and the result of the run to record.
        start: the checkpoint that the run starts from; None for a new model.
        log: lines of the log to print, in order. notes: lines for stderr.
        minutes: the time of the run from the start of its command; 0 for as long as it takes.
    """

    options: TrainOptions
    start: InitialCheckpoint | None
    model: ModelSettings
    data: DataSettings
    optimisation: OptimisationSettings
    files: FileSettings
    machine: MachineSettings
    display: DisplaySettings
    log: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    minutes: float = 0

    @property
    def resumed(self) -> ResumedRun | None:
        """The run that -resume goes on with; None for another run."""
        return self.start if isinstance(self.start, ResumedRun) else None


def group(kind: type[_Group], options: TrainOptions, **settled: Any) -> _Group:
    """A group whose values are `settled` or else the options of the same names."""
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]  # a dataclass
    return kind(**settled, **{name: getattr(options, name) for name in names if name not in settled})
