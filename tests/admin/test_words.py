"""The admin is Chinese, also where its libraries bring no Chinese."""

import re
import subprocess
from pathlib import Path
from shutil import which

import axes
import pytest
import unfold
from django.conf import settings
from django.utils.translation import gettext, ngettext

from payments.ledger.admin import KINDS
from tests.admin.words import asked_for, plurals

LOCALE = Path(settings.LOCALE_PATHS[0]) / "zh_Hans" / "LC_MESSAGES"
# The same in Chinese.
SAME = {"%(class_name)s %(instance)s", "HTTP Accept", ""}


@pytest.mark.parametrize("package", [unfold, axes], ids=["unfold", "axes"])
def test_every_word_of_a_library_has_its_chinese(package):
    home = Path(package.__file__).parent
    asked, many = asked_for(home), plurals(home)
    # Older Pythons find a word with a plural by both only.
    chinese = {
        word: ngettext(word, many[word], 1) if word in many else gettext(word) for word in asked
    }
    missing = {word for word in asked - SAME if chinese[word] == word}

    assert len(asked) > 30
    assert not missing


MSGFMT = which("msgfmt")


@pytest.mark.skipif(not MSGFMT, reason="no gettext on this machine")
def test_the_built_catalogue_is_that_of_the_source(tmp_path):
    built = tmp_path / "django.mo"
    assert MSGFMT
    subprocess.run([MSGFMT, "-c", "-o", built, LOCALE / "django.po"], check=True)

    assert built.read_bytes() == (LOCALE / "django.mo").read_bytes(), "run msgfmt, see django.po"


def test_every_kind_of_posting_is_told_in_chinese():
    """Those that the ledger's page lists, as staff see them in 记账凭证."""
    text = (Path(settings.BASE_DIR) / "docs" / "ledger.md").read_text()
    table = text.partition("## Every posting")[2].partition("\n\n`COMMISSION_REVERSAL` is")[0]
    kinds = {
        kind
        for row in table.splitlines()
        if row.startswith("| `")
        for kind in re.findall(r"`([A-Z_]+)`", row.split("|")[1])
    }

    assert {"INTAKE", "SET_ASIDE_UNDONE", "COMMISSION_REVERSAL"} <= kinds
    assert kinds == set(KINDS)
