"""The command `zoo demo`: a page in the browser on which a model is tried."""

import argparse
import contextlib
import os
import pathlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from zoo import quiet, terminal

if TYPE_CHECKING:
    import gradio

HOST = "127.0.0.1"
MAX_FILE = "64mb"  # of an upload

_DEMO = """\
Opens a page on which MODEL is tried: drop an image, see its classes drawn over it, choose tiles,
mirror images and the CRF. MODEL is a workdir, a weights file or an exported file. The page needs no
network; it is seen on this machine alone, unless --host says otherwise. What is uploaded is
removed at the end. Stop it with Ctrl-C."""


def demo(arguments: list[str]) -> int:
    """`zoo demo`: serves the page until it is stopped."""
    parser = terminal.Parser(prog="zoo demo", description=_DEMO)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument(
        "--checkpoint",
        metavar="WHICH",
        help="of a workdir: newest, best, or the step of a checkpoint (default: newest)",
    )
    parser.add_argument(
        "--head", metavar="NAME", help="of a net with several heads, the one that answers"
    )
    parser.add_argument(
        "--port", type=_port, help="of the page (default: the first free one from 7860)"
    )
    parser.add_argument(
        "--host",
        default=HOST,
        help="the address that the page listens at; 0.0.0.0 shows it to everyone who reaches this "
        f"machine, without a password (default: {HOST})",
    )
    given = parser.parse_args(arguments)

    def run() -> int:
        _check_free(given.host, given.port)
        quiet.import_tensorflow()
        from zoo import depths
        from zoo.inference.page import page
        from zoo.inference.scorers import scorer

        name = pathlib.Path(given.model).resolve().name
        options = {} if given.checkpoint is None else {"checkpoint": given.checkpoint}
        model = scorer(given.model, head=given.head, **options)
        if depths.takes_depth(model.spec):
            raise ValueError(
                f"The page takes one image; {model.spec.model} takes one of colours and one of "
                "depth. Answer them with zoo predict --depth."
            )
        with (
            _apart(),
            served(
                page(model, title=f"{name}: {model.spec.model}"), host=given.host, port=given.port
            ) as address,
        ):
            terminal.tell(f"{given.model} answers at {address}; Ctrl-C stops it")
            threading.Event().wait()
        return 0

    return terminal.run(run, prog="zoo demo")


@contextlib.contextmanager
def served(page: "gradio.Blocks", *, host: str = HOST, port: int | None = None) -> Iterator[str]:
    """Serves a page during the block, whose value is its address.

    Args:
        page: As `zoo.inference.page.page` makes it.
        host: The address to listen at.
        port: None for the first free one from 7860.
    """
    import gradio

    from zoo.inference.page import MAX_PEOPLE

    theme = gradio.themes.Default(  # others fetch their letters from the network
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            max_file_size=MAX_FILE,
            state_session_capacity=MAX_PEOPLE,
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            theme=theme,
        )
        yield address
    finally:
        page.close(verbose=False)


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """Uploads lie in a folder of their own, and Gradio tells nobody that it runs."""
    with tempfile.TemporaryDirectory(prefix="zoo-demo-") as folder:
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": folder}
        yield


def _check_free(host: str, port: int | None) -> None:
    """Raises OSError where nobody can listen, before a model is loaded."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port or 0))
    except OSError as error:
        raise OSError(
            f"The page cannot listen at {host}, port {port or 'any'} ({error.strerror}). Pass "
            "another --port, or --host with an address of this machine."
        ) from error


def _port(text: str) -> int:
    port = terminal.positive(text)
    if port > 65535:
        raise argparse.ArgumentTypeError(f"takes a port up to 65535; received {port}")
    return port
