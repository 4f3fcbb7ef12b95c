"""A headless Chromium that tests drive over a pipe, by the DevTools protocol."""

import base64
import contextlib
import json
import os
import pathlib
import select
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE = 30.0  # seconds


class Tab:
    """One page; `requested` are the addresses that it has asked for."""

    def __init__(self, orders: int, answers: int):
        self._orders, self._answers = orders, answers
        self._unread, self._session, self._count = b"", None, 0
        self.requested: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "DOM", "Runtime"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends an order, and waits for the answer to it."""
        self._count += 1
        order = {"id": self._count, "method": method, "params": params}
        if self._session:
            order["sessionId"] = self._session
        os.write(self._orders, json.dumps(order).encode() + b"\0")
        while (message := self._next()).get("id") != self._count:
            if message.get("method") == "Network.requestWillBeSent":
                self.requested.append(message["params"]["request"]["url"])
        assert "error" not in message, message["error"]
        return message["result"]

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._answers], [], [], max(0, until - time.monotonic()))
            assert ready, "Chromium does not answer"
            read = os.read(self._answers, 1 << 20)
            assert read, "Chromium has ended"
            self._unread += read
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)

    def evaluate(self, script: str) -> Any:
        """The value of a script in the page."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, script: str) -> Any:
        """The value of a script, once it is true."""
        until = time.monotonic() + PATIENCE
        while not (value := self.evaluate(script)):
            assert time.monotonic() < until, f"{script} has not come true: {self.text()}"
            time.sleep(0.1)
        return value

    def text(self) -> str:
        """What can be read on the page."""
        return self.evaluate("document.body.innerText")

    def choose(self, file: pathlib.Path) -> None:
        """Gives a file to the page's first input of files."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        place = self.send("DOM.querySelector", nodeId=root, selector="input[type=file]")
        self.send("DOM.setFileInputFiles", files=[str(file)], nodeId=place["nodeId"])

    def size(self, width: int, height: int) -> None:
        """Of the window, in pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )

    def screenshot(self) -> bytes:
        """The whole page as a PNG."""
        found = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(found["data"])


@contextlib.contextmanager
def opened(address: str, folder: pathlib.Path) -> Iterator[Tab]:
    """A tab at an address; every other machine is unknown to it."""
    to_read, orders = os.pipe()
    answers, to_write = os.pipe()
    words = [PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    words += ["--remote-debugging-pipe", "--no-first-run", f"--user-data-dir={folder}"]
    words += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "about:blank"]
    shell = f"exec {shlex.join(words)} 3<&{to_read} 4>&{to_write}"
    browser = subprocess.Popen(
        ["bash", "-c", shell], pass_fds=(to_read, to_write), stderr=subprocess.DEVNULL
    )
    try:
        os.close(to_read)
        os.close(to_write)
        tab = Tab(orders, answers)
        tab.send("Page.navigate", url=address)
        yield tab
    finally:
        browser.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            browser.wait(10)
        browser.kill()
        browser.wait()
        os.close(orders)
        os.close(answers)
