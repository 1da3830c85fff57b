"""The words that a Django package asks gettext for: what `makemessages` would find."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from django.utils.translation.template import templatize

CALLS = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy"}
IN_TEMPLATE = re.compile(r"""\b(n?gettext)\((u?'(?:\\.|[^'])*'|u?"(?:\\.|[^"])*")""")
PLURAL = re.compile(
    r"""\bngettext\((u?'(?:\\.|[^'])*'|u?"(?:\\.|[^"])*"),\s*(u?'(?:\\.|[^'])*'|u?"(?:\\.|[^"])*")"""
)


def asked_for(package: Path) -> set[str]:
    """Message ids (of plurals the singular) in the sources and templates of a package."""
    return {word for path in package.rglob("*.py") for word in _in_python(path.read_text())} | {
        word for path in package.rglob("*.html") for word in _in_template(path.read_text())
    }


def plurals(package: Path) -> dict[str, str]:
    found = {}
    for path in package.rglob("*.html"):
        for one, many in PLURAL.findall(templatize(path.read_text())):
            found[ast.literal_eval(one)] = ast.literal_eval(many)
    return found


def _in_python(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            first = node.args[0]
            is_text = isinstance(first, ast.Constant) and isinstance(first.value, str)
            if node.func.id in CALLS and is_text:
                yield first.value


def _in_template(source: str) -> Iterator[str]:
    for _, word in IN_TEMPLATE.findall(templatize(source)):
        yield ast.literal_eval(word)
