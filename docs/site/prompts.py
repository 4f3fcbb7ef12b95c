"""Shows the prompts in a docstring as code: in Markdown each `>>>` would be a quotation."""

import re
from typing import Any

import griffe


class Prompts(griffe.Extension):
    """Of every object that the reference shows."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Changes the text of its docstring."""
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """The text with each paragraph that begins with a prompt in a block of code."""
    return re.sub(r"^(>>> .*(?:\n.+)*)", r"```pycon\n\1\n```", text, flags=re.MULTILINE)
