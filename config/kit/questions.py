"""What an act of the admin must know before it is done."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.http import HttpRequest
from unfold.widgets import CHECKBOX_CLASSES, FILE_CLASSES, INPUT_CLASSES, SELECT_CLASSES


class Question(forms.Form):
    """What an act needs to know, dressed as unfold dresses its own forms."""

    def __init__(self, *args: Any, row: Any, request: HttpRequest, **more: Any) -> None:
        super().__init__(*args, **more)
        self.row = row
        self.request = request
        self.prepare()
        for field in self.fields.values():
            widget = field.widget
            if type(widget).__module__.startswith("unfold."):
                continue
            widget.attrs["class"] = " ".join(_CLASSES.get(type(widget), INPUT_CLASSES))

    def prepare(self) -> None:
        """Fields, choices and first values that depend on the row."""

    def told(self, act: str) -> str:
        """What the row's history keeps: the act, and the reason that was given."""
        reason = self.cleaned_data.get("reason")
        return f"{act}：{reason}" if reason else act


_CLASSES: Mapping[type[forms.Widget], Sequence[str]] = {
    forms.CheckboxInput: CHECKBOX_CLASSES,
    forms.Select: SELECT_CLASSES,
    forms.ClearableFileInput: FILE_CLASSES,
    forms.FileInput: FILE_CLASSES,
}


class Sure(Question):
    """Nothing to know: only whether it is meant."""


class Reason(Question):
    reason = forms.CharField(label="原因", max_length=200, widget=forms.Textarea({"rows": 3}))
