"""Which model is asked, and where: what both ways to send have in common."""

import dataclasses
import re
import ssl
import urllib.parse
from collections.abc import Mapping

_REST, _GRPC = ("http", "https"), ("grpc", "grpcs")
_HEADER = re.compile(r"[A-Za-z0-9_.-]+")  # what both HTTP and gRPC allow in a name
_VALUE = re.compile(r"[ -~]*")
_OWN = re.compile(r"connection|content-.*|host|te|transfer-encoding|grpc-.*|.*-bin", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Server:
    """A served model, as `connected` takes it.

    Args:
        url: Of the server.
        model: The name under which it is served.
        version: Its number; None for the highest that is served.
        label: The label of a version; None for none.
        headers: Sent with each request, as metadata by gRPC; secrets, which are never shown.
        ca: The text of a PEM file with the certificates to trust; None for those of the system.

    Raises:
        ValueError: One of them is invalid.
    """

    url: str
    model: str
    version: int | None = None
    label: str | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    ca: str | None = None

    def __post_init__(self) -> None:
        self._check_url()
        if self.version is not None and self.label is not None:
            raise ValueError(
                "A version is chosen by its number or by its label; received the number "
                f"{self.version} and the label {self.label!r}. Pass one of them."
            )
        if self.version is not None and not 0 <= self.version < 2**63:
            raise ValueError(
                f"A version is a whole number from 0 to {2**63 - 1}; received {self.version}. Pass "
                "one that is served."
            )
        for name, value in self.headers.items():
            if not (_HEADER.fullmatch(name) and _VALUE.fullmatch(value)) or _OWN.fullmatch(name):
                raise ValueError(
                    "A header has a name of letters, digits, '-', '_' and '.', and a value of "
                    "printable ASCII, and is not one that the client writes itself, such as "
                    f"Content-Type; received one with the name {name!r}. Pass, for example, "
                    "Authorization:VALUE."
                )
        if self.ca is not None:
            self._check_ca(self.ca)

    @property
    def place(self) -> urllib.parse.SplitResult:
        """The URL in parts."""
        return urllib.parse.urlsplit(self.url)

    @property
    def speaks_rest(self) -> bool:
        """Whether the model is asked by REST, not by gRPC."""
        return self.place.scheme in _REST

    @property
    def which(self) -> str:
        """The version that is asked for, in words."""
        if self.version is not None:
            return f" and the version {self.version}"
        return "" if self.label is None else f" and the label {self.label!r}"

    def _check_url(self) -> None:
        try:
            place = self.place
            right = all(
                (
                    re.fullmatch(r"[!-~]+", self.url),
                    place.scheme in _REST + _GRPC,
                    place.hostname and place.hostname.encode("idna"),
                    place.port != 0,
                    place.username is None,
                    not place.query and not place.fragment,
                    place.scheme in _REST or not place.path.strip("/"),
                )
            )
        except ValueError:  # of the library: no port, no host
            right = False
        if not right:
            # What is before an @ may be a password.
            shown = re.sub(r"//.*@", "//…@", self.url)
            raise ValueError(
                "A server is named by http://, https://, grpc:// or grpcs://, its host and its "
                f"port; received {shown!r}. Pass, for example, http://localhost:8501 or "
                "grpc://localhost:8500, and what authorizes you as a --header."
            )

    def _check_ca(self, ca: str) -> None:
        if self.place.scheme not in ("https", "grpcs"):
            raise ValueError(
                "A certificate is checked where the connection is encrypted, by https:// and "
                f"grpcs://; received {self.url!r} and a --ca. Pass such a --url, or no --ca."
            )
        try:
            ssl.create_default_context(cadata=ca)
        except (ssl.SSLError, ValueError, TypeError) as error:
            raise ValueError(
                "A --ca is a PEM file with the certificates of who signed the server's; the one "
                f"received holds none ({error}). Pass the file with -----BEGIN CERTIFICATE-----."
            ) from error
