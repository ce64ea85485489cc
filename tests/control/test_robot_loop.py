"""The example of a robot's loop, and the page on robots, against a robot in a process of its own."""

import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import ROOT
from served import serving

import ibc
from ibc.checkpoint import load_checkpoint
from ibc.cli.config import compose
from ibc.cli.serve import serve
from ibc_client import Client

pytestmark = pytest.mark.unchecked
CHECKPOINT = ROOT / "pretrained/particle_2d.pt"


def test_the_loop_brings_the_robot_to_its_goal_with_noise_and_lost_frames(capsys):
    loop = runpy.run_path(str(ROOT / "examples/robot_loop.py"))
    loop["main"](str(CHECKPOINT), 30, 0.08)
    out = capsys.readouterr().out
    seen, missed = map(int, re.search(r"(\d+) frames, (\d+) missed", out).groups())
    executed, late = map(int, re.search(r"(\d+) actions executed, (\d+) late", out).groups())
    assert 15 < seen <= seen + missed <= 30
    assert executed + late <= seen
    assert float(re.search(r"goals: ([\d.]+)", out)[1]) < 0.1


def test_the_robot_does_not_execute_late_actions():
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wire.bind(("127.0.0.1", 0))
    wire.settimeout(20)
    command = [sys.executable, ROOT / "examples/simulated_robot.py", str(wire.getsockname()[1])]
    robot = subprocess.Popen([*command, "12", "0.05"])
    first = None
    while True:
        data, address = wire.recvfrom(1 << 16)
        message = json.loads(data)
        if "counts" in message:
            break
        first = first or message
        if message["step"] < 4:
            time.sleep(0.11)  # two steps of the robot
            wire.sendto(json.dumps({"step": message["step"], "action": [9, 9]}).encode(), address)
    robot.wait(20)
    assert message["counts"]["late"] >= 2
    assert message["counts"]["executed"] == 0
    assert set(first["obs"]) == set(ibc.load_policy(CHECKPOINT, device="cpu").spec.obs)


def blocks(kind):
    page = (ROOT / "docs/robot.md").read_text()
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page, flags=re.S | re.M)
    return [text for language, text in found if language == kind]


def run_block(text, folder):
    """One of the page, in the root of the repository, with what it writes elsewhere."""
    program = folder / "program.py"
    program.write_text(text.replace("exported/", f"{folder}/exported/"))
    return runpy.run_path(str(program))


@pytest.fixture
def in_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_blocks_of_the_page_that_need_no_server(in_root, tmp_path):
    own = [b for b in blocks("python") if "Client(" not in b and "load_exported" not in b]
    assert len(own) == 5
    for block in own:
        names = run_block(block, tmp_path)
        if "error" in block:
            assert names["action"] == [222.0, 97.0]
            assert np.isfinite(
                names["controller"].step({"state": [222.0, 97.0, 222.0, 381.0, 0.0]})
            ).all()
        if "detector" in names:
            assert names["detector"].is_doubtful(names["controller"].confidence)
            np.testing.assert_allclose(names["action"], [-2.0, 0.2], rtol=1e-6)


def test_the_block_of_the_client(in_root, tmp_path):
    block = next(b for b in blocks("python") if "Client(" in b)
    policy = ibc.load_policy(CHECKPOINT, device="cpu")
    with serving(policy, token="a-secret") as server:
        address = block.replace("ws://127.0.0.1:8765", server.url).replace(
            "timeout=0.1", "timeout=5"
        )
        assert not run_block(address, tmp_path)["decision"].is_safe_action


@pytest.mark.slow
def test_commands_of_the_page_and_the_block_of_an_exported_policy(in_root, tmp_path):
    (commands,) = [b for b in blocks("") if "ibc export" in b]
    for line in commands.strip().splitlines():
        arguments = line.partition("#")[0].replace("exported/", f"{tmp_path}/exported/").split()
        subprocess.run([sys.executable, "-m", *arguments], check=True)
    (block,) = [b for b in blocks("python") if "load_exported" in b]
    run_block(block, tmp_path)


def run_server(line, use, monkeypatch):
    """Run a command of the page at a free port until ``use``, which is given its address, has ended."""
    token, _, _, *arguments = line.partition("#")[0].split()
    monkeypatch.setenv(*token.split("="))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def robot():
        try:
            use(f"ws://127.0.0.1:{port}")
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=robot)
    thread.start()
    serve(compose("serve", [*arguments, f"port={port}", "host=0.0.0.0"]))
    thread.join()
    return port


def test_the_command_of_a_server(in_root, monkeypatch, capsys):
    """It says where it listens, and ends at a signal."""
    (line,) = [b.strip() for b in blocks("") if "ibc serve" in b and "on_doubt" not in b]
    decisions = []

    def use(url):
        with Client(url, token="a-secret", safe_action=[0, 0], timeout=5) as client:
            client.reset()
            decisions.append(client.step(client_fields(CHECKPOINT)))

    port = run_server(line, use, monkeypatch)
    assert not decisions[0].is_safe_action
    assert f"serving at ws://0.0.0.0:{port}" in capsys.readouterr().out


def test_the_command_of_a_server_with_a_detector_and_the_block_of_its_client(
    in_root, tmp_path, monkeypatch
):
    (calibration,) = [b for b in blocks("python") if "ibc.calibrate" in b]
    run_block(calibration, tmp_path)["detector"].save(tmp_path / "detector.npz")
    (line,) = [b.strip() for b in blocks("") if "on_doubt" in b]
    (block,) = [b for b in blocks("python") if "decision.confidence" in b]
    decisions = []

    def use(url):
        text = block.replace("ws://127.0.0.1:8765", url).replace("timeout=0.2", "timeout=5")
        decisions.append(run_block(text, tmp_path)["decision"])

    run_server(line.replace("detector.npz", f"{tmp_path}/detector.npz"), use, monkeypatch)
    assert decisions[0].is_safe_action
    assert decisions[0].reason.startswith("in doubt: confidence ")
    assert 0 < decisions[0].confidence <= 0.25
    np.testing.assert_allclose(decisions[0].action, [-2.0, 0.2], rtol=1e-6)


def client_fields(checkpoint):
    """An observation of zeros."""
    fields = load_checkpoint(checkpoint).spec.obs
    return {name: np.zeros(field.shape, field.dtype) for name, field in fields.items()}
