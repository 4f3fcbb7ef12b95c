"""The check of an exported version that is in place."""

import pathlib
from collections.abc import Callable
from typing import Any

import zoo
from exports import check
from exports.graph.limits import Limits
from exports.serving import export_json
from zoo import spec as specs
from zoo.images import read_image
from zoo.models.plain import plain


def check_version(
    version: pathlib.Path,
    *,
    weights: str | pathlib.Path | None = None,
    image: str | pathlib.Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Checks a version in all loaders that are installed.

    Args:
        version: The folder of a SavedModel, `OUT/NAME/NUMBER`.
        weights: What it was exported from, as `zoo.load` takes it: the loaders must give that
            model's answers. Without it, they must give each other's.
        image: A file to check with; textures if None.
        report: Called with a line on each finding.

    Raises:
        exports.check.MismatchError: A file is missing or changed, or an answer is wrong.
        exports.runtimes.StatusError: TensorFlow refuses the files.
        ValueError: The folder is not a version; the weights are another model's; the image cannot
            be read.
    """
    recorded = export_json.read(version)
    _check_files(version, recorded["files"])
    report(f"{version}: all {len(recorded['files'])} files are there, at their sizes")
    limits, spec = Limits(**recorded["limits"]), recorded["spec"]
    if spec is not None:
        spec = specs.from_dict(spec, where=str(version / export_json.FILE))
    ports = export_json.ports(recorded)
    options = {
        "spec": spec,
        "limits": limits,
        "images": image and read_image(image, channels=limits.channels)[None],
        "report": report,
    }
    if weights is None:
        report("Comparing the loaders with each other; --weights compares them with the model")
        try:
            check.check_loaders(version, ports=ports, **options)
        except check.MismatchError as error:
            # Without the model, an engine that rounds otherwise looks like one that is wrong.
            hint = "Pass --weights to compare each loader with the model."
            raise check.MismatchError(f"{error} {hint}") from error
        return
    report(f"Building {recorded['model']} with the weights of {weights}")
    model = zoo.load(weights, **({} if spec is None else {"model": spec.model} | spec.options))
    if spec is not None and not spec.heads and spec.head is not None:  # one of several
        model = plain(model, spec.head)
    same = export_json.weights_sha256(model) == recorded["weights"]["sha256"]
    report(f"Its weights are {'' if same else 'NOT '}those that were exported")
    if recorded.get("fast"):
        model = zoo.faster(model, keep_switches=recorded["fast"]["keep_switches"])
    check.check_saved_model(model, version, **options)


def _check_files(version: pathlib.Path, recorded: dict[str, Any]) -> None:
    """The recorded files are there, at their sizes, and no others but hidden ones."""
    sizes = export_json.sizes(version)
    del sizes[export_json.FILE]  # the record itself
    wrong = sorted(name for name, size in recorded.items() if sizes.get(name) != size)
    wrong += [name for name in sizes if name not in recorded and not _is_hidden(name)]
    if wrong:
        said, found = (files.get(wrong[0], "none") for files in (recorded, sizes))
        raise check.MismatchError(
            f"A version has the files that were exported; of {version} not {wrong[0]}: "
            f"{said} bytes are recorded, {found} are there. Copy it again."
        )


def _is_hidden(name: str) -> bool:
    """Whether it is such a file as systems add, for example .DS_Store."""
    return any(part.startswith(".") for part in pathlib.PurePosixPath(name).parts)
