"""Run parts of the page in node."""

import json
import shutil
import subprocess

import pytest

from ibc.page.write import MODULES, bundle

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")


def run_in_node(folder, program, **inputs):
    """What ``program`` prints as JSON, after all modules of the page but the last, with ``inputs`` as constants."""
    (folder / "inputs.json").write_text(json.dumps(inputs))
    source = "\n".join(
        [
            'import { readFileSync } from "node:fs";',
            bundle(MODULES[:-1]),
            f"const inputs = JSON.parse(readFileSync({json.dumps(str(folder / 'inputs.json'))}));",
            program,
        ]
    )
    (folder / "program.mjs").write_text(source)
    done = subprocess.run(
        [NODE, str(folder / "program.mjs")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
