"""The house rules that a machine can keep."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest
from django.core.management import call_command
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from config.schedule import SCHEDULE

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ["config", "payments", "members", "shop", "livestream"]
EVERY = [path for path in ROOT.rglob("*.py") if not {".venv", ".data"} & set(path.parts)]
SOURCES = [
    path
    for path in EVERY
    if path.relative_to(ROOT).parts[0] in FOLDERS and "migrations" not in path.parts
]
TOP = {
    *FOLDERS, "tests", "docs", "manage.py", "requirements.txt", "requirements-dev.txt",
    "pyproject.toml", "Makefile", "README.md", "README.zh-CN.md",
}  # fmt: skip
named = pytest.mark.parametrize


def short(path):
    return str(path.relative_to(ROOT))


def place(path):
    """Folder and package; livestream is flat, so it is one package."""
    parts = path.relative_to(ROOT).parts if path.is_absolute() else path.parts
    return (parts[0], parts[1]) if parts[0] != "livestream" else (parts[0], "")


def test_import_contracts_hold():
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml")) == EXIT_STATUS_SUCCESS


@pytest.mark.django_db
def test_migrations_are_complete():
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_nothing_else_stands_at_the_top():
    visible = {path.name for path in ROOT.iterdir() if not path.name.startswith((".", "__"))}

    assert visible <= TOP, visible - TOP


@named("path", [p for p in EVERY if "migrations" not in p.parts], ids=short)
def test_a_file_fits_in_the_head(path):
    assert len(path.read_text().splitlines()) <= 500


@named("path", SOURCES, ids=short)
def test_no_drawer_for_odds_and_ends(path):
    assert path.stem not in {"utils", "helpers", "common", "constants", "managers", "signals"}


@named("path", [p for p in SOURCES if p.name == "api.py"], ids=short)
def test_a_view_starts_from_a_query_not_from_a_table(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert ".objects" not in ast.unparse(node), f"{short(path)}:{node.lineno}"


@named("path", [p for p in SOURCES if p.name in {"rules.py", "services.py"}], ids=short)
def test_time_is_told_not_asked(path):
    assert not re.search(r"\bnow\(\)|\.today\(\)", path.read_text())


@named("path", SOURCES, ids=short)
def test_no_bare_save(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            is_bare = node.func.attr == "save" and not node.args and not node.keywords
            assert not is_bare, f"{short(path)}:{node.lineno}"


@named("path", SOURCES, ids=short)
def test_imports_sit_at_the_top(path):
    """An import inside a function is a cycle that somebody hid; AppConfig.ready may."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name != "ready":
            inner = [n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom)]
            assert not inner, f"{short(path)}:{node.lineno}"


@named("path", [p for p in EVERY if "migrations" not in p.parts], ids=short)
def test_a_comment_promises_nothing(path):
    assert not re.search(r"#.*\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b", path.read_text())


def test_later_names_a_task_of_its_own_package_or_of_a_folder_below():
    for path in SOURCES:
        folder, package = place(path)
        for name in re.findall(r'later\(\s*"([\w.]+)"', path.read_text()):
            module, _, task = name.rpartition(".")
            assert hasattr(getattr(import_module(module), task), "delay"), name
            its_folder, its_package = place(Path(name.replace(".", "/")))
            is_below = FOLDERS.index(its_folder) < FOLDERS.index(folder)
            assert is_below or (its_folder, its_package) == (folder, package), name


@named("name", sorted(SCHEDULE))
def test_every_periodic_job_exists(name):
    module, _, task = SCHEDULE[name]["task"].rpartition(".")

    assert hasattr(getattr(import_module(module), task), "delay")


def test_every_money_column_is_whole_fen():
    from django.apps import apps

    for model in apps.get_models():
        if model._meta.app_label in FOLDERS:
            for field in model._meta.concrete_fields:
                kind = field.get_internal_type()
                assert kind != "FloatField", field
                if field.name.endswith("_fen"):
                    assert "BigInteger" in kind, field
