"""What to write in place of a flag that a command lacks: one of another program, of another command, or misspelled."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Sequence

import click

from pycharrnn.cli.help_layout import argument_name
from pycharrnn.common import shell_words
from pycharrnn.common.display import series

_MOST_NAMED = 3  # commands in a message
_SHORTEST_BEGINNING = 3  # characters
_TO_A_FILE = "to save what it prints, end the command with > FILE"
_LEARN = "-adapt 1 learns from a text while reading it"
_INSTEAD = {  # (command, flag that it lacks): what to write
    ("chat", "-adapt"): "-learn 1 learns from the lines of the chat",
    ("eval", "-learn"): _LEARN,
    ("sample", "-learn"): _LEARN,
    ("score", "-learn"): _LEARN,
    ("copied", "-o"): f"{_TO_A_FILE}; -html PAGE.html writes a page",
    ("eval", "-o"): _TO_A_FILE,
    ("inspect", "-o"): _TO_A_FILE,
    ("score", "-o"): f"{_TO_A_FILE}; -html PAGE.html writes a page",
    ("which", "-o"): _TO_A_FILE,
    ("doctor", "-gpuid"): "leave it out, since this command tests the GPU that it finds",
    ("studio", "-gpuid"): "leave it out; the page has it among the flags of a training",
    ("convert", "-o"): "end the command with the file to write, as in pycharrnn convert cv page.html",
    ("train", "--sample-only"): "pycharrnn sample draws text from a model, as in pycharrnn sample cv",
}
_INSTEAD_ANYWHERE = {"-gpuid": "leave it out, since this command uses no GPU"}  # of commands that _INSTEAD lacks
_TORCH_RNN = {  # flag of torch-rnn -> (that of char-rnn with the same meaning, what else to say)
    "start_text": ("-primetext", ""),
    "gpu": ("-gpuid", ""),
    "gpu_backend": ("-opencl", ", 1 for opencl"),
    "model_type": ("-model", ""),
    "lr_decay_factor": ("-learning_rate_decay", ""),
    "lr_decay_every": ("-learning_rate_decay_after", ", after which each epoch decays the rate"),
    "checkpoint_every": ("-eval_val_every", ""),
    "checkpoint_name": ("-savefile", ", and its folder -checkpoint_dir"),
    "reset_iterations": ("-resume", ": for 0 give it in place of -init_from, for 1 leave it out"),
    "speed_benchmark": ("-accurate_gpu_timing", ""),
    "input_h5": ("-data_dir", ", a folder that has the text as input.txt"),
    "input_json": ("-data_dir", ", a folder that has the text as input.txt"),
}
# (our flag, what else to say, the flags with its meaning in makemore, nanoGPT, textgenrnn, and char-RNNs in TensorFlow
# and PyTorch). A flag of theirs with several meanings stands in several rows; a command has one of our flags.
_OTHERS = (
    ("-max_epochs", ", in epochs", "max_iters max_steps num_steps num_iters n_iters iterations iters steps"),
    ("-max_epochs", "", "epochs num_epochs n_epochs nb_epoch num_train_epochs"),
    ("-rnn_size", "", "hidden_size hidden_dim hidden n_hidden nhid num_hidden n_embd rnn_units lstm_size"),
    ("-num_layers", "", "n_layer n_layers nlayers layers"),
    ("-model", ", with the value lstm, gru or rnn", "cell cell_type rnn_type type unit_type network"),
    ("-seq_length", "", "block_size bptt chunk_len chunk_size n_steps num_unrollings seq_len sequence_length maxlen"),
    ("-batch_size", "", "b n_seqs"),
    ("-learning_rate", "", "l lr alpha step_size"),
    ("-warmup", "", "warmup_iters warmup_steps"),
    ("-grad_clip", ", which limits each value, not the norm", "clip grad_norm max_grad_norm"),
    ("-dropout", ", 1 minus that value", "keep_prob output_keep_prob input_keep_prob"),
    ("-train_frac", "", "train_size train_split"),
    ("-val_frac", "", "val_size val_split valid_frac validation_split"),
    ("-eval_val_every", "", "eval_interval eval_every save_every save_interval save_steps checkpoint_interval"),
    ("-print_every", "", "log_every log_interval print_freq"),
    ("-checkpoint_dir", "", "o out output out_dir output_dir save_dir work_dir model_dir"),
    ("-items", ", with the value line", "line_by_line line_delimited"),
    ("-seed", "", "random_seed"),
    ("-gpuid", ", -1 for the CPU", "device cpu cuda use_gpu no_cuda no_gpu"),
    ("-primetext", "", "start start_string prompt prefix prime prime_str primer seed_text"),
    ("-length", "", "n maxlen max_length max_new_tokens max_gen_length predict_len gen_length num_chars num_tokens"),
    ("-samples", "", "count num num_samples"),
    ("-patience", ", in validations", "early_stopping"),
    ("-temperature", "", "temp diversity"),
    ("-topk", "", "top_k"),
    ("-topp", "", "nucleus top_p"),
    ("-verbose", ", with the value 0", "quiet"),
    ("-o", ", a folder for samples; for one text end the command with > FILE", "out output"),
)
_WITHOUT_COUNTERPART = (
    "always_save_checkpoint batchnorm beta1 beta2 bidirectional compile embedding_dim emsize eval_iters"
    " gradient_accumulation_steps max_words memory_benchmark n_embd2 n_head num_workers optimizer state_size"
    " tied w wandb_log weight_decay word_level wordvec_size"
)
_MODELS = ("model", "file", "in", "run")  # arguments that stand for models
# (what to name, the first argument of the commands that take it, the flags that other programs have for it, an example)
_ARGUMENTS = (
    (
        "checkpoint",
        _MODELS,
        "checkpoint checkpoint_path ckpt ckpt_path load_model m model model_file model_path weights",
        "cv/checkpoint.t7",
    ),
    ("folder", _MODELS, "out_dir save_dir", "cv"),
    (
        "text",
        ("text",),
        "corpus data dataset file filename i input input_file input_txt text_file train_file",
        "my_text.txt",
    ),
)


def instead(command: click.Command, ctx: click.Context, words: Sequence[str], known: Collection[str]) -> str:
    """The end of the message about an unknown flag: what to write.

    Args:
        words: the command line from this flag on. Other unknown flags of other programs are answered, too.
        known: the flags of the command.
    """
    word = words[0]
    flag = word.split("=", 1)[0]
    if os.path.exists(word):
        what = "folder" if os.path.isdir(word) else "file"
        return f"; for the {what} of this name, write {shell_words.quoted(shell_words.operand(word))}."
    if hint := _of_another_program(command, words, known):
        found = (_of_another_program(command, words[k : k + 2], known) for k in range(1, len(words)))
        others = [one for one in dict.fromkeys(found) if one not in ("", hint)]
        more = [f"N{one[1:]}" if one.startswith("name") else one for one in others]
        return f"; {' '.join([hint, *more])}"
    if said := _INSTEAD.get((command.name or "", flag)) or _INSTEAD_ANYWHERE.get(flag):
        return f": {said}."
    if names := _commands_with(flag, ctx):
        return f"; pycharrnn {series(names, 'and')} {'have' if len(names) > 1 else 'has'} it."
    close = _close(flag.lstrip("-"), [name.lstrip("-") for name in known])
    return f"; did you mean -{close}?" if close else "."


def _close(name: str, known: Sequence[str]) -> str:
    """The name nearest to `name`, or else to those that begin with it; "" if there is none."""
    begun = [other for other in known if len(name) >= _SHORTEST_BEGINNING and other.startswith(name)]
    found = difflib.get_close_matches(name, known, 1, 0.7) or difflib.get_close_matches(name, begun, 1, 0)
    return found[0] if found else ""


def _of_another_program(command: click.Command, words: Sequence[str], known: Collection[str]) -> str:
    """What to write for the first word, a flag of another program; "" for others, and for flags of the command."""
    flag, _, value = words[0].partition("=")
    name = flag.lstrip("-").replace("-", "_")
    if flag in known or not flag.startswith("-"):
        return ""
    value = value or next((word for word in words[1:2] if not word.startswith("-")), "")
    taken = next((argument_name(param) for param in command.params if isinstance(param, click.Argument)), "")
    for what, arguments, names, example in _ARGUMENTS:
        if taken in arguments and name in names.split():
            typed = shell_words.joined(["pycharrnn", command.name or "", value or example])
            return f"name the {what} without a flag: {typed}."
    if name == "test_frac" and "-val_frac" in known:
        return f"torch-rnn's {flag} is the part that -train_frac and -val_frac leave."
    if name in _WITHOUT_COUNTERPART.split():
        return f"{flag} has no counterpart here: leave it out."
    ours, more = _TORCH_RNN.get(name, ("", ""))
    if ours in known:
        return f"torch-rnn's {flag} is {ours} here{more}."
    for ours, more, names in _OTHERS:
        if ours in known and name in names.split():
            return f"{flag} is {ours} here{more}."
    return ""


def _commands_with(flag: str, ctx: click.Context) -> list[str]:
    """The names of other commands that have this flag; [] if there are none, or more than a message can hold."""
    group = ctx.find_root().command
    commands = group.commands.items() if isinstance(group, click.Group) else ()
    found = [name for name, other in commands if any(flag in param.opts for param in other.params)]
    return found if len(found) <= _MOST_NAMED else []
