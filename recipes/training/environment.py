"""What decides the numbers of a run, to the last bit, besides its recipe and its data."""

import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys
import tomllib
from typing import Any

import tensorflow as tf

import zoo

try:
    import resource
except ImportError:  # Windows
    resource = None

# Settings of the libraries below that change how numbers are added up.
_SETTINGS = (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_DETERMINISTIC_OPS",
    "TF_CUDNN_DETERMINISTIC",
    "TF_CUDNN_USE_AUTOTUNE",
    "TF_ENABLE_WINOGRAD_NONFUSED",
    "TF_SET_ONEDNN_FPMATH_MODE",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)


def environment(deterministic: bool) -> dict[str, Any]:
    """The versions, the hardware, and the settings that change how numbers are added up."""
    packages = ("tensorflow", "keras", "numpy", "scipy", "pillow")
    threading = tf.config.threading
    return {
        "zoo": zoo.__version__,
        "commit": commit(),
        "python": platform.python_version(),
        **{name: _version(name) for name in packages},
        "hardware": hardware(),
        "cores": _cores(),
        "threads": {
            "intra_op": threading.get_intra_op_parallelism_threads(),
            "inter_op": threading.get_inter_op_parallelism_threads(),
        },
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
        "settings": {name: os.environ[name] for name in _SETTINGS if name in os.environ},
        "tensor_float_32": tf.config.experimental.tensor_float_32_execution_enabled(),
        "xla": tf.config.optimizer.get_jit() or "off",
        "deterministic": deterministic,
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cores() -> int | None:
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # of Linux only
    return len(affinity(0)) if affinity else os.cpu_count()


def checkout() -> pathlib.Path | None:
    """The folder of the project's clone that this file lies in; None for an installed package."""
    root = pathlib.Path(__file__).parents[2]
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except (OSError, ValueError, KeyError):
        return None
    return root if project.get("name") == "segmentation-zoo" else None


def commit() -> str | None:
    """The commit of the clone, with a plus sign if files were changed since.

    None for an installed package and without Git.
    """
    root = checkout()
    if root is None or not (root / ".git").exists():  # a repository around it is another project
        return None
    git = ["git", "-C", str(root)]
    try:
        head, changed = (
            subprocess.run([*git, *words], capture_output=True, text=True, check=True).stdout
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.strip() + "+" * bool(changed)


def peak_memory() -> float:
    """The most memory, in GB, that this process has held of the first GPU, or without one at all.

    0 where the system does not say. A process counts what the program that started it held then:
    little, if that was a shell.
    """
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e9
    if resource is None:
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def hardware() -> str:
    """The GPUs by name, or the processor with its number of cores."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return f"{len(gpus)} × {details.get('device_name', 'GPU')}"
    name = platform.processor() or platform.machine()
    information = pathlib.Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{os.cpu_count()} cores, {name}"
