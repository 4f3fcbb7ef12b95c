"""What TensorFlow writes while it starts: its chatter is left out, everything else is shown."""

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

ROOT = pathlib.Path(__file__).parents[2]
CHATTER = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795903214.324964    4307 cpu_feature_guard.cc:227] This TensorFlow binary is optimized
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with the
E0000 00:00:1795903214.324964    4307 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA
"""
NEWS = "E0000 00:00:1795903214.324964    4307 other.cc:1] the disk is on fire\nplain words\n"


def started(tmp_path: pathlib.Path, then: str = "") -> subprocess.CompletedProcess:
    """A process with stand-ins for Keras and TensorFlow that write as TensorFlow does."""
    said = CHATTER + NEWS
    (tmp_path / "keras.py").write_text(f"import os\nos.write(2, {said.encode()!r})\n{then}\n")
    (tmp_path / "tensorflow.py").write_text(
        textwrap.dedent("""\
            import types
            config = types.SimpleNamespace(list_physical_devices=lambda: [])
        """)
    )
    code = "from zoo import quiet; quiet.import_tensorflow(); print('done')"
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_chatter_is_left_out_and_news_is_shown(tmp_path):
    run = started(tmp_path)
    assert (run.returncode, run.stdout, run.stderr) == (0, "done\n", NEWS)


@pytest.mark.parametrize("then", ["raise ImportError('broken')", "raise SystemExit(3)"])
def test_everything_is_shown_when_the_import_fails(then, tmp_path):
    run = started(tmp_path, then)
    assert run.returncode
    assert run.stderr.startswith(CHATTER + NEWS)
