"""The page's ES modules as one script, for a page that loads nothing.

Each module becomes a function that is called once, so that its names stay its own, and returns what it exports. This
understands the form that the page's modules have: imports and exports begin a line, an import is relative and names
what it takes, what is exported is declared there and never assigned again. Any other form is refused. Lines that are
comments are left out, and what lines begin with to be read more easily, since every page would carry them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

_IMPORT = re.compile(r'^import \{(\s*[\w$]+(?:,\s*[\w$]+)*,?\s*)\} from "\./([\w-]+\.js)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:(?:async )?function\*? |class |const )([\w$]+))", re.MULTILINE)
_DECLARED = re.compile(r"^(?:(?:async )?function\*? |class |const |let |var )([\w$]+)", re.MULTILINE)
# Other imports and exports, and what only a module can do.
_UNKNOWN = re.compile(r"^(?:[ \t]*(?:import|export)|await)\b.*|\bimport\s*[(.].*", re.MULTILINE)
# What makes a line look like the beginning of a statement that it is not, or ends the HTML element around a script.
_MISLEADING = re.compile(r"/\*|[\r\u2028\u2029]|</script|<!--", re.IGNORECASE)
# Lines without a statement, and the spaces before one.
_FOR_READERS = re.compile(r"^[ \t]*(?://.*)?\n|^[ \t]+", re.MULTILINE)


class UnknownForm(Exception):
    """Why a module is not understood, as a sentence."""


def bundle(entry: str, modules: Mapping[str, str]) -> str:
    """A script that does what loading the module `entry` does, with all that it imports.

    Args:
        entry: name of a module.
        modules: name of a file -> what it holds.

    Errors: UnknownForm.
    """
    exported: dict[str, list[str]] = {}
    functions = []
    for name in _in_order(entry, modules):
        source = modules[name]
        exported[name] = _EXPORT.findall(source)
        functions.append(_as_function(name, source, exported))
    return "\n".join(['"use strict";', *functions, ""])


def _in_order(name: str, modules: Mapping[str, str], importers: tuple[str, ...] = ()) -> list[str]:
    """The names of a module and those that it needs, as they run: each once, after those that it imports.

    Errors: UnknownForm for a module that is not there, or imports itself by way of others.
    """
    if name in importers:
        raise UnknownForm(f"{' imports '.join([*importers, name])}.")
    if name not in modules:
        raise UnknownForm(f"{importers[-1] if importers else 'a page'} imports {name}, which is not there.")
    order = [
        other for _, imported in _imports(modules[name]) for other in _in_order(imported, modules, (*importers, name))
    ]
    return list(dict.fromkeys([*order, name]))


def _imports(source: str) -> Iterator[tuple[list[str], str]]:
    """(names, module) of each import."""
    for names, module in _IMPORT.findall(source):
        yield re.findall(r"[\w$]+", names), module


def _as_function(name: str, source: str, exported: Mapping[str, list[str]]) -> str:
    """A module as the declaration of what it exports.

    Args:
        exported: module -> what it exports, of this one and all that it imports.

    Errors: UnknownForm.
    """
    body = _EXPORT.sub("", _IMPORT.sub("", source)).strip()
    if found := _MISLEADING.search(source) or _UNKNOWN.search(body):
        raise UnknownForm(f"{name} has a form that is not understood: {found[0]!r}.")
    if line := next((line for line in body.splitlines() if line.count("`") % 2), None):
        raise UnknownForm(f"{name} has a template of several lines: {line!r}.")
    for names, module in _imports(source):
        if missing := set(names) - set(exported[module]):
            raise UnknownForm(f"{name} imports {min(missing)}, which {module} does not export.")
    declared = Counter([*_DECLARED.findall(body), *(one for names, _ in _imports(source) for one in names)])
    if twice := [one for one, count in declared.items() if count > 1]:
        raise UnknownForm(f"{name} declares {twice[0]} twice.")
    taken = [f"const {{ {', '.join(names)} }} = {_variable(module)};" for names, module in _imports(source)]
    returned = f"return {{ {', '.join(exported[name])} }};"
    statements = _FOR_READERS.sub("", body)
    return "\n".join([f"const {_variable(name)} = (() => {{", *taken, statements, returned, "})();"])


def _variable(module: str) -> str:
    """What holds the exports of a module.

    Example:
        >>> _variable("text_view.js")
        '$text_view_js'
    """
    return "$" + re.sub(r"\W", "_", module)
