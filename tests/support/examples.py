"""The examples in documents and docstrings: where they are, what they name, what they answer."""

import argparse
import ast
import builtins
import dataclasses
import importlib
import inspect
import pathlib
import re
import runpy
import shlex
import sys
import textwrap
import types
from collections.abc import Iterator, Mapping
from typing import Any
from unittest import mock

import numpy as np

ROOT = pathlib.Path(__file__).parents[2]
OURS = ("exports", "recipes", "zoo")


@dataclasses.dataclass(frozen=True)
class Example:
    """Lines of Python; `place` is where they stand: a document or a module, and what in it."""

    place: str
    code: str


def fenced(text: str, language: str) -> list[str]:
    """The blocks between ```language and ```."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(code) for _, code in found]


def of_document(path: pathlib.Path) -> list[Example]:
    blocks = enumerate(fenced(path.read_text(encoding="utf-8"), "python"), 1)
    return [Example(f"{path.relative_to(ROOT)}, block {number}", code) for number, code in blocks]


def docstrings() -> Iterator[tuple[str, str, str]]:
    """The module, the name in it and the text of every docstring of ours."""
    for path in sorted(path for name in OURS for path in (ROOT / name).rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
            if isinstance(node, kinds) and (text := ast.get_docstring(node)):
                yield module.removesuffix(".__init__"), getattr(node, "name", "module"), text


def answers(code: str, names: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Runs the code. Pairs of what an expression gives and what the comment behind it says.

    A comment that is no Python literal says nothing here.
    """
    found, lines = [], code.splitlines()
    body = ast.parse(code).body
    ends = [node.lineno - 1 for node in body[1:]] + [len(lines)]
    for node, end in zip(body, ends, strict=True):
        source = ast.get_source_segment(code, node)
        if not isinstance(node, ast.Expr):
            exec(compile(source, "<example>", "exec"), names)
            continue
        value = eval(compile(source, "<example>", "eval"), names)
        last = lines[node.end_lineno - 1].encode()[node.end_col_offset :].decode()
        comments = [last, *lines[node.end_lineno : end]]
        try:
            said = ast.literal_eval(" ".join(line.strip(" #") for line in comments).strip())
        except (SyntaxError, ValueError):
            continue
        found.append((value.tolist() if isinstance(value, np.ndarray) else value, said))
    return found


def mistakes(code: str, names: Mapping[str, Any]) -> list[str]:
    """The names in the code that are not there, and the calls that a function does not take.

    For code that is not run: what it assigns has any attributes, and another project's modules do.
    """
    tree, known, found = ast.parse(code), dict(vars(builtins)) | dict(names), []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in OURS:
            module = importlib.import_module(node.module)
            found += [a.name for a in node.names if not hasattr(module, a.name)]
            known |= {alias.name: getattr(module, alias.name, None) for alias in node.names}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            known |= {alias.name.split(".")[0]: None for alias in node.names}
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            known[node.id] = None
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in known:
            found.append(node.id)
        elif isinstance(node, ast.Attribute | ast.Call):
            try:
                _resolved(node, known)
            except (AttributeError, TypeError) as error:
                found.append(f"{ast.unparse(node)}: {error}")
    return found


def _resolved(node: ast.expr, known: Mapping[str, Any]) -> Any:
    """The object that a dotted name stands for, or None where that is not known."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        value = _resolved(node.value, known)
        return getattr(value, node.attr) if isinstance(value, types.ModuleType) else None
    if isinstance(node, ast.Call) and (function := _resolved(node.func, known)):
        given = {keyword.arg: None for keyword in node.keywords}
        if None not in given:  # **options may be anything
            inspect.signature(function).bind(*node.args, **given)
    return None


def steps(path: pathlib.Path) -> list[tuple[str, str]]:
    """The blocks of a document that are run, each behind its language: python or sh."""
    text = path.read_text(encoding="utf-8")
    return re.findall(r"^```(python|sh)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def lines_of(block: str) -> list[list[str]]:
    """The words of each command in a block of sh."""
    found: list[list[str]] = [[]]
    # A comment ends with its line, and so does a command.
    lexer = shlex.shlex(
        block.replace("\\\n", " ").replace("\n", "\n; "), posix=True, punctuation_chars=";&|"
    )
    lexer.whitespace_split = True
    for word in lexer:
        if set(word) <= set(";&|"):
            found.append([])
        else:
            found[-1].append(word)
    return [words for words in found if words]


def commands(text: str) -> list[list[str]]:
    """The words of each command in the ```sh blocks that is one of ours: `zoo` or `python -m`."""
    found = [words for block in fenced(text, "sh") for words in lines_of(block)]
    return [words for words in found if words[0] == "zoo" or words[:2] == ["python", "-m"]]


class _ParsedError(Exception):
    """A command line was understood; nothing is run."""


def refusal(words: list[str]) -> str | None:
    """What the command's own parser has against these words; None if it takes them."""
    module, arguments = ("zoo", words[1:]) if words[0] == "zoo" else (words[2], words[3:])
    parse = argparse.ArgumentParser.parse_args

    def parse_only(parser: argparse.ArgumentParser, *given: Any, **named: Any) -> None:
        parse(parser, *given, **named)
        raise _ParsedError

    # A test may have imported the module; as a program it is run anew.
    sys.modules.pop(f"{module}.__main__", None)
    try:
        with (
            mock.patch.object(argparse.ArgumentParser, "parse_args", parse_only),
            mock.patch.object(sys, "argv", [words[0], *arguments]),
        ):
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    except _ParsedError:
        return None
    except ImportError as error:
        return str(error)
    except SystemExit as stop:
        return None if not stop.code else f"exit status {stop.code}"
    return None
