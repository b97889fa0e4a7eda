"""Bundles the page's ES modules into one script, for the page that is a single file.

Each module becomes a function that is called once and returns its exports. Only the form of the page's modules is
supported, others are refused: imports and exports begin a line, imports are relative and list names, exports are
declarations that are never reassigned. Comments and indentation are removed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

_IMPORT = re.compile(r'^import \{(\s*[\w$]+(?:,\s*[\w$]+)*,?\s*)\} from "\./([\w-]+\.js)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:(?:async )?function\*? |class |const )([\w$]+))", re.MULTILINE)
_DECLARED = re.compile(r"^(?:(?:async )?function\*? |class |const |let |var )([\w$]+)", re.MULTILINE)
# Unsupported imports and exports, and top-level await.
_UNSUPPORTED = re.compile(r"^(?:[ \t]*(?:import|export)|await)\b.*|\bimport\s*[(.].*", re.MULTILINE)
# Block comments, line separators that the expressions above do not know, and ends of the script element.
_UNSAFE = re.compile(r"/\*|[\r\u2028\u2029]|</script|<!--", re.IGNORECASE)
# Empty lines, comments, indentation.
_REMOVED = re.compile(r"^[ \t]*(?://.*)?\n|^[ \t]+", re.MULTILINE)


class UnsupportedModule(Exception):
    """A module or page has an unsupported form."""


def bundle(entry: str, modules: Mapping[str, str]) -> str:
    """A script equivalent to loading the module `entry`. `modules`: file name -> content. Errors: UnsupportedModule."""
    exported: dict[str, list[str]] = {}
    functions = []
    for name in _in_order(entry, modules):
        source = modules[name]
        exported[name] = _EXPORT.findall(source)
        functions.append(_as_function(name, source, exported))
    return "\n".join(['"use strict";', *functions, ""])


def _in_order(name: str, modules: Mapping[str, str], importers: tuple[str, ...] = ()) -> list[str]:
    """The names of a module and its dependencies, in the order of execution. Errors: UnsupportedModule for a missing
    module or an import cycle."""
    if name in importers:
        raise UnsupportedModule(f"{' imports '.join([*importers, name])}.")
    if name not in modules:
        raise UnsupportedModule(f"{importers[-1] if importers else 'a page'} imports {name}, which does not exist.")
    order = [
        other for _, imported in _imports(modules[name]) for other in _in_order(imported, modules, (*importers, name))
    ]
    return list(dict.fromkeys([*order, name]))


def _imports(source: str) -> Iterator[tuple[list[str], str]]:
    """Yield (names, module) for each import."""
    for names, module in _IMPORT.findall(source):
        yield re.findall(r"[\w$]+", names), module


def _as_function(name: str, source: str, exported: Mapping[str, list[str]]) -> str:
    """A module as a declaration of its exports. `exported`: of it and its imports, by module."""
    body = _EXPORT.sub("", _IMPORT.sub("", source)).strip()
    if found := _UNSAFE.search(source) or _UNSUPPORTED.search(body):
        raise UnsupportedModule(f"{name} has an unsupported form: {found[0]!r}.")
    if line := next((line for line in body.splitlines() if line.count("`") % 2), None):
        raise UnsupportedModule(f"{name} has a template of several lines: {line!r}.")
    for names, module in _imports(source):
        if missing := set(names) - set(exported[module]):
            raise UnsupportedModule(f"{name} imports {min(missing)}, which {module} does not export.")
    declared = Counter([*_DECLARED.findall(body), *(one for names, _ in _imports(source) for one in names)])
    if twice := [one for one, count in declared.items() if count > 1]:
        raise UnsupportedModule(f"{name} declares {twice[0]} twice.")
    taken = [f"const {{ {', '.join(names)} }} = {_variable(module)};" for names, module in _imports(source)]
    returned = f"return {{ {', '.join(exported[name])} }};"
    statements = _REMOVED.sub("", body)
    return "\n".join([f"const {_variable(name)} = (() => {{", *taken, statements, returned, "})();"])


def _variable(module: str) -> str:
    """The name of the variable that holds a module's exports.

    Example:
        >>> _variable("text_view.js")
        '$text_view_js'
    """
    return "$" + re.sub(r"\W", "_", module)
