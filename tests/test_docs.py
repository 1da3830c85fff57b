"""What the documents name is there: files, settings, codes, commands."""

import ast
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from django.utils.module_loading import import_string

from config.kit.api import _CODES
from config.kit.errors import Refusal
from payments.ledger.admin import KINDS
from payments.ledger.rules import CHART

ROOT = Path(__file__).resolve().parent.parent
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
DOCS = [*READMES, *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = ["config", "payments", "members", "shop", "livestream"]
TOP = {path.name for path in ROOT.iterdir()}
# Made by running, so a clone has none of it.
MADE = {".venv", ".data"}
every_document = pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))


def prose(text: str) -> str:
    """Without fenced examples."""
    return re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)


def quoted(path: Path) -> set[str]:
    """What stands in backticks."""
    return set(re.findall(r"`([^`\n]+)`", prose(path.read_text())))


def links(path: Path) -> set[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", prose(path.read_text()))
    return {link for link in found if "://" not in link}


@every_document
def test_links_lead_somewhere(path):
    missing = {link for link in links(path) if not (path.parent / link.partition("#")[0]).exists()}

    assert not missing


@every_document
def test_files_that_are_named_exist(path):
    named = {
        name
        for name in quoted(path)
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", name)
        and (
            ("/" in name and name.split("/")[0] in TOP - MADE)
            or re.search(r"\.(py|md|toml|txt)$", name)
        )
    }
    anywhere = {"api.py", "admin.py", "tasks.py", "payable.py", "0001_initial.py"}
    missing = {name for name in named - anywhere if not (ROOT / name).exists()}

    assert not missing


@every_document
def test_dotted_names_can_be_imported(path):
    for name in quoted(path):
        if re.fullmatch(rf"({'|'.join(FOLDERS)})(\.\w+)+", name) and not name.endswith(".py"):
            try:
                import_module(name)
            except ImportError:
                import_string(name)


@every_document
def test_no_document_names_the_machine_it_was_written_on(path):
    assert not re.search(r"/(work|root|home)/|/tmp/\w", path.read_text())


@every_document
def test_make_targets_exist(path):
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|PORT=\d+ |^)make (\w+)", path.read_text(), re.MULTILINE))

    assert named <= targets


# --- deploy.md ----------------------------------------------------------------------------------


def variables_read() -> Iterator[str]:
    """The first argument of each typed reader in the settings; a name within is <NAME>."""
    readers = {"text", "optional", "number", "rate", "names", "file_text"}
    sources = [(ROOT / "config" / name).read_text() for name in ("settings.py", "channels.py")]
    for node in ast.walk(ast.parse("\n".join(sources))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in readers:
            name = node.args[0]
            if isinstance(name, ast.Constant):
                yield str(name.value)
            elif isinstance(name, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "<NAME>"
                         for part in name.values]  # fmt: skip
                yield "".join(map(str, parts))


def test_every_variable_of_the_settings_is_in_the_table_and_no_other():
    text = (ROOT / "docs/deploy.md").read_text()
    told = set(re.findall(r"^\| `([A-Z][A-Z_<>]+)` \|", text, re.MULTILINE))

    assert told == set(variables_read())


# --- api.md -------------------------------------------------------------------------------------


def refusals() -> set[type[Refusal]]:
    for folder in map(import_module, FOLDERS):
        for module in pkgutil.walk_packages(folder.__path__, f"{folder.__name__}."):
            if ".migrations" not in module.name and module.name != "config.asgi":
                import_module(module.name)

    def below(family: type[Refusal]) -> Iterator[type[Refusal]]:
        for kind in family.__subclasses__():
            yield kind
            yield from below(kind)

    return {kind for kind in below(Refusal) if not kind.__module__.startswith("tests.")}


def test_every_code_is_in_the_table_with_its_status_and_no_other():
    text = (ROOT / "docs/api.md").read_text()
    told = {
        code: int(status)
        for code, status in re.findall(r"^\| `([A-Z_]+)` \| (\d{3}) \|", text, re.MULTILINE)
    }
    without_a_class = {code: status for status, code in _CODES.items()} | {"INVALID": 400}

    assert told == without_a_class | {kind().code: kind.status for kind in refusals()}


# --- money.md -----------------------------------------------------------------------------------

MONEY = (ROOT / "docs/money.md").read_text()


def test_every_test_that_shows_a_flow_is_there():
    named = re.findall(r"\[`(test_\w+)`\]\(\.\./(tests/[\w/]+\.py)\)", MONEY)

    assert len(named) > 40
    assert len(named) == len(re.findall(r"`test_\w+`", MONEY))
    missing = [(name, path) for name, path in named if f"def {name}(" not in read(path)]
    assert not missing


def test_its_postings_and_accounts_are_those_of_the_ledger():
    """Of each posting that it shows: its kind is one, and moves what ledger.md says it moves."""
    moves: dict[str, set[str]] = {"RECEIPT": {"wallet"}, "OWE_BACK": {"wallet", "refund_payable"}}
    for kinds, cells in postings(read("docs/ledger.md")):
        for kind in kinds:
            moves.setdefault(kind, set()).update(accounts("".join(cells[3:5])))
    shown = list(postings(MONEY))

    assert len(shown) > 30
    for kinds, cells in shown:
        assert kinds <= set(KINDS), cells
        allowed = set().union(*(moves[kind] for kind in kinds))
        assert accounts("".join(cells[1:])) <= allowed, cells


def test_what_is_drawn_is_a_posting_or_a_state():
    drawings = "".join(re.findall(r"```mermaid(.*?)```", MONEY, re.DOTALL))
    states = {"SENDING", "APPROVED", "BOOKED", "HELD", "DONE", "PAID", "FAILED", "SUCCESS"}
    names = {"POST", "SHA", "WECHAT", "ALIPAY_LINK", "ALIPAY_QR"}

    assert set(re.findall(r"\b[A-Z][A-Z_]{2,}\b", drawings)) <= set(KINDS) | states | names
    assert ";" not in drawings  # ends a line of a diagram


def postings(text: str) -> Iterator[tuple[set[str], list[str]]]:
    """Rows of tables that begin with kinds of postings; accounts of the first cell aside."""
    for row in re.findall(r"^\| `[A-Z_]+`.*\|$", text, re.MULTILINE):
        cells = row.strip("|").split("|")
        yield set(re.findall(r"`([A-Z_]+)`", cells[0])), cells


def accounts(text: str) -> set[str]:
    """Kinds of the chart that stand in backticks."""
    return {kind for kind in re.findall(r"`(\w+):", text) if kind in CHART}


def read(path: str) -> str:
    return (ROOT / path).read_text()


# --- the two READMEs, the decisions -------------------------------------------------------------


def test_both_readmes_say_the_same():
    english, chinese = (path.read_text() for path in READMES)
    other = {"README.md", "README.zh-CN.md"}

    assert links(READMES[0]) - other == links(READMES[1]) - other
    assert english.count("\n## ") == chinese.count("\n## ")
    for excerpt in re.findall(r"^  \w.*¥.*$|`(?:GET|POST) [^`]+`", english, re.MULTILINE):
        assert excerpt in chinese
    for path in READMES:
        assert len(path.read_text().splitlines()) <= 130


def test_every_decision_is_in_their_list():
    folder = ROOT / "docs" / "decisions"
    written = {path.name for path in folder.glob("0*.md")}

    assert written == {link for link in links(folder / "README.md") if link.startswith("0")}
