"""Recognises kinds of files by their first bytes, and archives by their last ones, for error messages."""

from __future__ import annotations

import os
import re

from compat.cells import MODELS

_START = 4096  # bytes at the start of a file
_DESCRIPTION = 1 << 20  # bytes at its start in which other programs write what the file holds
_ZIP_END = 1 << 17  # bytes at its end in which a zip archive lists its files, some thousand of them
_PYTORCH_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # start of torch.save's files before it wrote zip archives
_OUR_JSON = re.compile(rb'\{"model": "(%s)", "rnn_size": ' % "|".join(MODELS).encode())
_TORCH_RNN_NAMES = (b'"val_loss_history"', b'"token_to_idx"')  # in the files of its train.lua and preprocess.py
_NOT_IN_TEXT = re.compile(rb"[\0-\x08\x0e-\x1a\x1c\x1d\x1f\x7f]")  # control characters
_WORD = re.compile(rb"[A-Za-z]{2}|[\x80-\xff]{2}[ \r\n.,]")
_UTF16_STARTS = (b"\xff\xfe", b"\xfe\xff")
MODEL_IN_PAGE = b'<script type="application/json" class="model">'  # before each model of a page
CACHE_NAME = re.compile(r"(vocab|data)(_utf8)?(_without_\w+)?\.t7")  # of the files beside input.txt
_T7_STARTS = (b"\3\0\0\0\1\0\0\0", b"\4\0\0\0\1\0\0\0")  # a table, an object
_ASCII_T7_WITH_CR = re.compile(rb"[0-8](\r\n?)\d+\1")
_OUR_METADATA = re.compile(rb'"pycharrnn"\s*:')  # in the header of a .safetensors file
_LONGEST_HEADER = 100_000_000  # bytes of a .safetensors file's header, as the library allows
_READS = "pycharrnn reads the .t7 files of char-rnn and torch-rnn, and what its convert writes"
_GZIP = "compressed by gzip"
_GIVE_NAME = "give it a name that ends in"
UNPACK = "unpack it, and name"
_AS_TEXT = "save it as plain text to train on it"
_NANOGPT = f"a transformer of nanoGPT, which pycharrnn does not run: {_READS}"
_NANOGPT_KEYS = (b"model_args", b"iter_num")  # of the dict that its train.py saves
_DOCUMENT_NAMES = (b"[Content_Types].xml", b"mimetypeapplication/")  # of .docx and .xlsx; of .odt and .epub
_PYTORCH = f"a file of PyTorch's torch.save, which only the program that wrote it understands: {_READS}"
OTHER_SAFETENSORS = "a safetensors file of another program: pycharrnn reads those that its train and convert write"
TEXT = "a text; `pycharrnn train` makes a model of it"
NAME_CHECKPOINT_OF_TORCH_RNN = "name a checkpoint, cv/checkpoint_*.t7"
HDF5 = f"an HDF5 file, such as torch-rnn makes of a text: {NAME_CHECKPOINT_OF_TORCH_RNN}"
NAME_A_CHECKPOINT = "name a checkpoint"
OTHER_PROGRAM = f"a file of another program, not a .t7 file: {NAME_A_CHECKPOINT}"
_KERAS_NAMES = (b"keras_version", b"layer_names")  # of attributes of its HDF5 files
_LLAMA_CPP_STARTS = (b"GGUF", b"ggml", b"lmgg", b"fmgg", b"tjgg")
_IN_ZIP = re.compile(rb"PK\x01\x02.{24}(..).{16}", re.DOTALL)  # before each name in the list at the end of an archive
_MOST_SEARCHED = 1 << 26  # bytes, in which a checkpoint has named a class
_LONGEST_NAME = 1000  # bytes of a name in an archive, of longer ones
_MODELS_IN_ZIP = (b".t7", b".safetensors", b".pt")
_T7_CLASS = re.compile(rb"torch\.[A-Z][a-z]+(Storage|Tensor)")
# Kind of a file -> its first bytes.
SIGNATURES = {
    "Git LFS": b"version https://git-lfs",
    "gzip": b"\x1f\x8b",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\0",
    "zstd": b"\x28\xb5\x2f\xfd",
    "7z": b"7z\xbc\xaf'\x1c",
    "rar": b"Rar!",
    "HDF5": b"\x89HDF",
    "ONNX": b"\x08\x07\x12\x09pycharrnn",  # of pycharrnn convert
    "NumPy": b"\x93NUMPY",
    "PDF": b"%PDF-",
    "OLE": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",  # of Microsoft's office programs until 2007
    "RTF": b"{\\rtf",
    "PNG": b"\x89PNG",
    "JPEG": b"\xff\xd8\xff",
    "GIF": b"GIF8",
}
_PICTURE = f"a picture: {_READS}"
_ADVICE = {  # kind -> what such a file is and what to do with it
    "Git LFS": "a Git LFS pointer, not the file it stands for: fetch that with git lfs pull",
    "gzip": f"{_GZIP}: unpack it with gunzip",
    "bzip2": "compressed by bzip2: unpack it with bunzip2",
    "xz": "compressed by xz: unpack it with unxz",
    "zstd": "compressed by zstd: unpack it with unzstd",
    "7z": f"a 7z archive: {UNPACK} the .t7 file in it",
    "rar": f"a rar archive: {UNPACK} the .t7 file in it",
    "HDF5": HDF5,
    "ONNX": f"an ONNX model of pycharrnn convert: {_GIVE_NAME} .onnx",
    "NumPy": f"an array of NumPy's: {_READS}",
    "PDF": f"a PDF file: {_AS_TEXT}",
    "OLE": f"a document of an office program: {_AS_TEXT}",
    "RTF": f"an RTF file: {_AS_TEXT}",
    "PNG": _PICTURE,
    "JPEG": _PICTURE,
    "GIF": _PICTURE,
}


def signature(content: bytes | bytearray) -> str:
    """The kind of a file in SIGNATURES, by its first bytes; "" for another one.

    Example:
        >>> signature(b"%PDF-1.7"), signature(b"%!PS")
        ('PDF', '')
    """
    return next((kind for kind, first in SIGNATURES.items() if content.startswith(first)), "")


def name_of(content: bytes | bytearray) -> str:
    """The kind of a file and advice, as words after "it is": "compressed by xz: unpack it with unxz"; "" if unknown."""
    start = bytes(content[:_START])
    if is_safetensors(content) or is_cut_safetensors(content):  # the length at its start may look like a pickle's
        return f"a safetensors file: {_GIVE_NAME} .safetensors" if is_our_safetensors(content) else OTHER_SAFETENSORS
    if start[:1] == b"\x80" or (start[:2] == b"PK" and b"data.pkl" in start):
        if _OUR_JSON.search(start):
            return f"a PyTorch file of pycharrnn convert: {_GIVE_NAME} .pt"
        if all(key in content[:_DESCRIPTION] for key in _NANOGPT_KEYS):
            return _NANOGPT
        if start[:2] == b"PK" or _PYTORCH_MAGIC in start[:32]:
            return _PYTORCH
        return f"a Python pickle, which only the program that wrote it understands: {_READS}"
    if start[:2] == b"PK" and any(name in start for name in _DOCUMENT_NAMES):
        return f"a document of an office program, or a book: {_AS_TEXT}"
    if start[:2] == b"PK":
        return _zip(content)
    kind = signature(start)
    if kind == "HDF5" and any(name in content[:_DESCRIPTION] for name in _KERAS_NAMES):
        return f"weights of Keras: {_READS}"
    if start.startswith(_LLAMA_CPP_STARTS) and not is_text(start):
        return f"a GGUF or GGML model, as llama.cpp runs: {_READS}"
    if start[4:8] == b"TFL3":
        return f"a model of TensorFlow Lite: {_READS}"
    if kind:
        return _ADVICE[kind]
    if start[257:262] == b"ustar":
        return f"a tar archive: {UNPACK} the .t7 file in it"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(SIGNATURES["RTF"]):
        return _ADVICE["RTF"]
    if text[:1] in (b"{", b"["):
        return _json(text)
    if re.match(rb"<(!doctype|html|head|body|\?xml|!--)", text, re.IGNORECASE):
        if MODEL_IN_PAGE in content:
            return f"a page of pycharrnn convert: {_GIVE_NAME} .html"
        return "a web page that was saved in the file's place: open it in a browser, and download the file itself"
    if _ASCII_T7_WITH_CR.match(start):
        return "an ASCII .t7 file whose line ends were changed, perhaps by a transfer as text: copy it in binary mode"
    if is_text(start):
        return TEXT
    return ""


def other_program(path: str) -> str:
    """As name_of of the file at a path, without advice; "" also for a text or a checkpoint. Errors: OSError."""
    with open(path, "rb") as f:
        start = f.read(_DESCRIPTION)
        f.seek(max(os.fstat(f.fileno()).st_size - _ZIP_END, len(start)))
        kind, _, advice = name_of(start + f.read(_ZIP_END)).partition(": ")
    return "" if kind in (_GZIP, TEXT) or advice.startswith(_GIVE_NAME) else kind


def has_t7_class(content: bytes | bytearray) -> bool:
    """Whether `content` has a class name as each checkpoint of Torch7: its first bytes may be missing or damaged."""
    return _T7_CLASS.search(content, 0, _MOST_SEARCHED) is not None


def is_text(content: bytes | bytearray) -> bool:
    """Whether `content` begins as a text in any encoding; not if it may be an ASCII .t7 file."""
    start = bytes(content[:_START])
    if start.startswith(_UTF16_STARTS):
        return True
    return re.match(rb"[0-8]\n", start) is None and _WORD.search(start) is not None and not _NOT_IN_TEXT.search(start)


def is_cache(name: str, content: bytes) -> bool:
    """Whether a file of this name that begins with `content` is the cache that a training writes beside input.txt."""
    return CACHE_NAME.fullmatch(name) is not None and is_t7(content)


def is_t7(content: bytes | bytearray) -> bool:
    """Whether `content` begins as a binary .t7 file of a table or an object; no file of another kind begins so."""
    return content.startswith(_T7_STARTS)


def is_our_onnx(content: bytes | bytearray | memoryview) -> bool:
    """Whether `content` begins as an .onnx file of pycharrnn convert."""
    return bytes(content[: len(SIGNATURES["ONNX"])]) == SIGNATURES["ONNX"]


def is_cut_safetensors(content: bytes | bytearray) -> bool:
    """Whether `content` is the start of a .safetensors file and ends within its header."""
    length = int.from_bytes(content[:8], "little")
    return len(content) - 8 < length <= _LONGEST_HEADER and content[8:10] == b'{"'


def is_safetensors(content: bytes | bytearray) -> bool:
    """Whether `content` begins with an 8-byte length and a JSON object."""
    length = int.from_bytes(content[:8], "little")
    return 2 <= length <= len(content) - 8 and re.match(rb'\{\s*["}]', content[8:64]) is not None


def is_our_safetensors(content: bytes | bytearray) -> bool:
    """Whether the header of a .safetensors file has an entry of pycharrnn's."""
    return _OUR_METADATA.search(content, 8, 8 + int.from_bytes(content[:8], "little")) is not None


def _zip(content: bytes | bytearray) -> str:
    names, is_whole = _names_in_zip(content)
    for ending in _MODELS_IN_ZIP:
        if any(name.lower().endswith((ending, ending + b".gz")) for name in names):
            return f"a zip archive: {UNPACK} the {ending.decode()} file in it"
    if any(name.endswith(b"model.weights.h5") for name in names):
        return f"a model of Keras: {_READS}"
    if any(name.endswith(b".npy") for name in names):
        return f"an archive of NumPy's arrays: {_READS}"
    if is_whole:
        return "a zip archive: it holds no checkpoint; name another file"
    return f"a zip archive: {UNPACK} the .t7 file in it"


def _names_in_zip(content: bytes | bytearray) -> tuple[list[bytes], bool]:
    """The names at the end of a zip archive, in a limited part of it, and whether these are all; unpacks nothing."""
    end = bytes(content[-_ZIP_END:])
    last = end.rfind(b"PK\5\6")
    names = []
    for found in _IN_ZIP.finditer(end, 0, max(last, 0)):
        length = int.from_bytes(found[1], "little")
        names.append(end[found.end() : found.end() + min(length, _LONGEST_NAME)])
    return names, last >= 0 and len(names) == int.from_bytes(end[last + 10 : last + 12], "little")


def is_our_json(content: bytes | bytearray) -> bool:
    """Whether `content` begins as the JSON that `pycharrnn convert` writes."""
    return _OUR_JSON.match(content) is not None


def _json(text: bytes) -> str:
    if is_our_json(text):
        return f"the JSON that pycharrnn convert writes: {_GIVE_NAME} .json"
    return f"JSON text: {_READS}"


def is_torch_rnn_json(content: bytes | bytearray) -> bool:
    """Whether JSON text is what torch-rnn writes beside a checkpoint, or its preprocess.py of a text."""
    return any(name in content for name in _TORCH_RNN_NAMES)
