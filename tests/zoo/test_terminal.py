"""What all commands share: two lines for a wrong option, one message for an error, safe text."""

import errno
import os

import pytest

from zoo import terminal
from zoo.__main__ import VERBS, main


def test_a_usage_error_is_two_lines(capsys):
    assert main(["list", "--all"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "zoo list: unrecognized arguments: --all\nRun zoo list --help for its options.\n"
    )


def test_an_unknown_verb_is_two_lines(capsys):
    assert main(["lst\x1b[2J"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("zoo: lst\\x1b[2J is not a verb; there are list, show, draw, weights,")
    assert said.count("\n") == 2


def test_without_a_verb_the_verbs_are_shown(capsys):
    assert main([]) == 2
    shown = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == shown
    for verb, (_, text) in VERBS.items():
        assert f"  {verb:11} {text}\n" in shown


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError, 2), (TypeError, 2), (OSError, 2), (ImportError, 2), (RuntimeError, 1)],
)
def test_an_error_is_one_message_without_control_characters(error, status, capsys):
    def command():
        raise error("the file a\x1b]0;title\x07.png is damaged")

    assert terminal.run(command, prog="zoo check", failures=(RuntimeError,)) == status
    said = capsys.readouterr().err
    assert said == "zoo check: the file a\\x1b]0;title\\x07.png is damaged\n"


def test_an_interrupted_command_says_so(capsys):
    def command():
        raise KeyboardInterrupt

    assert terminal.run(command, prog="zoo train") == 130
    assert capsys.readouterr().err == "zoo train: stopped\n"


def test_a_bug_keeps_its_traceback():
    def command():
        raise AssertionError("a bug")

    with pytest.raises(AssertionError):
        terminal.run(command, prog="zoo train")


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\rb", "a\x00", "a\u202eb", "\x9b31m"])
def test_what_would_control_a_terminal_is_escaped(text):
    assert terminal.printable(text).isprintable()


@pytest.mark.parametrize("text", ["two\nlines", "Größe 12 × 9", "天空"])
def test_plain_text_stays_as_it_is(text):
    assert terminal.printable(text) == text


def test_the_nearest_choice_is_advised():
    assert terminal.nearest("sgg", ("adam", "adamw", "sgd")) == "sgd"
    assert terminal.nearest("xyz", ("adam", "sgd")) is None


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "Free some space there"),
        (errno.EROFS, "Make it and its folder readable and writable"),
        (errno.EISDIR, "Move away what is in its place"),
        (errno.ENOTDIR, "Move away what is in its place"),
        (errno.ENOENT, "Check its path"),
    ],
)
def test_an_error_of_the_system_has_the_remedy_of_its_kind(number, remedy, capsys):
    def command():
        raise OSError(number, os.strerror(number), "a\x1bb")

    assert terminal.run(command, prog="zoo check") == 2
    assert capsys.readouterr().err == (
        f"zoo check: a\\x1bb cannot be read or written ({os.strerror(number)}). {remedy} and run "
        "the same command again.\n"
    )
