"""Recognises other kinds of files by their first bytes, for error messages."""

from __future__ import annotations

import re

_START = 4096  # bytes at the start of a file
_PYTORCH_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # start of torch.save's files before it wrote zip archives
_OUR_JSON = re.compile(rb'\{"model": "(lstm|gru|rnn)", "rnn_size": ')
_READS = "pycharrnn reads the .t7 files of char-rnn and torch-rnn, and what its convert writes"
# (the first bytes of a file, what such a file is and what to do with it)
_BEGINNINGS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file it stands for: fetch that with git lfs pull"),
    (b"PK", "a zip archive: unpack it, and name the .t7 file in it"),
    (b"\x1f\x8b", "gzip-ed twice: unpack it once"),
    (b"BZh", "compressed by bzip2: unpack it with bunzip2"),
    (b"\xfd7zXZ\0", "compressed by xz: unpack it with unxz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd: unpack it with unzstd"),
    (b"7z\xbc\xaf'\x1c", "a 7z archive: unpack it, and name the .t7 file in it"),
    (b"Rar!", "a rar archive: unpack it, and name the .t7 file in it"),
    (b"\x89HDF", "an HDF5 file, such as torch-rnn makes of a text: name a checkpoint, cv/checkpoint_*.t7"),
    (b"\x08\x07\x12\x09pycharrnn", "an ONNX model of pycharrnn convert: give it a name that ends in .onnx"),
    (b"\x93NUMPY", f"an array of NumPy's: {_READS}"),
)


def name_of(content: bytes | bytearray) -> str:
    """The kind of a file and advice, as words after "it is": "compressed by xz: unpack it with unxz"; "" if unknown."""
    start = bytes(content[:_START])
    if start[:1] == b"\x80" or (start[:2] == b"PK" and b"data.pkl" in start):
        if _OUR_JSON.search(start):
            return "a PyTorch file of pycharrnn convert: give it a name that ends in .pt"
        pytorch = start[:2] == b"PK" or _PYTORCH_MAGIC in start[:32]
        kind = "a file of PyTorch's torch.save" if pytorch else "a Python pickle"
        return f"{kind}, which only the program that wrote it understands: {_READS}"
    for beginning, kind in _BEGINNINGS:
        if start.startswith(beginning):
            return kind
    if is_safetensors(content):
        return "a safetensors file: give it a name that ends in .safetensors"
    if start[257:262] == b"ustar":
        return "a tar archive: unpack it, and name the .t7 file in it"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] in (b"{", b"["):
        return _json(text)
    if re.match(rb"<(!doctype|html|head|body|\?xml|!--)", text, re.IGNORECASE):
        return "a web page that was saved in the file's place: open it in a browser, and download the file itself"
    return ""


def is_safetensors(content: bytes | bytearray) -> bool:
    """Whether `content` begins with an 8-byte length and a JSON object."""
    length = int.from_bytes(content[:8], "little")
    return 2 <= length <= len(content) - 8 and re.match(rb'\{\s*["}]', content[8:64]) is not None


def _json(text: bytes) -> str:
    if _OUR_JSON.match(text):
        return "the JSON that pycharrnn convert writes: give it a name that ends in .json"
    return f"JSON text: {_READS}"
