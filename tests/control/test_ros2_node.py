"""The example for ROS 2, with stand-ins for it and a real policy server."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT
from served import Sum, serving

from ibc.data import fit_picture
from ibc.spec import ObsField, Spec

pytestmark = pytest.mark.unchecked


class Follow(Sum):
    """The joints, moved by the brightness of red in the latest picture."""

    def act_flat(self, obs, rng):
        if self.fails:
            raise ZeroDivisionError
        return (obs["joints"][:, -1] + obs["front"][:, -1, ..., 0].float().mean() / 255).detach()


class Node:
    """What the example uses of ``rclpy.node.Node``."""

    def __init__(self):
        self.seconds = 100.0
        self.heard, self.sent, self.warnings = {}, [], []

    def create_publisher(self, kind, topic, depth):
        assert topic == "commands"
        return SimpleNamespace(publish=lambda message: self.sent.append(message.data))

    def create_subscription(self, kind, topic, callback, profile):
        self.heard[topic] = callback

    def create_timer(self, period, callback):
        assert period == 0.1
        self.act = callback

    def get_clock(self):
        time = SimpleNamespace(nanoseconds=round(self.seconds * 1e9))
        return SimpleNamespace(now=lambda: time)

    def get_logger(self):
        return SimpleNamespace(warning=self.warnings.append)


@pytest.fixture
def run(monkeypatch):
    """Run the example; ``spin(node)`` stands in for ROS."""

    def run_example(url, spin):
        node = Node()
        modules = {
            "rclpy": {
                "init": lambda: None,
                "create_node": lambda name: node,
                "spin": spin,
                "qos": SimpleNamespace(qos_profile_sensor_data=None),
            },
            "rclpy.qos": {},
            "sensor_msgs": {},
            "sensor_msgs.msg": {"Image": None, "JointState": None},
            "std_msgs": {},
            "std_msgs.msg": {"Float64MultiArray": SimpleNamespace},
        }
        for name, content in modules.items():
            module = ModuleType(name)
            vars(module).update(content)
            monkeypatch.setitem(sys.modules, name, module)
        source = (ROOT / "examples/ros2_node.py").read_text()
        for old, new in (("ws://127.0.0.1:8765", url), ("timeout=PERIOD / 2", "timeout=20")):
            assert old in source
            source = source.replace(old, new)
        exec(source, {"__name__": "__main__"})

    return run_example


def message_of(picture, encoding):
    """An Image, whose rows may be padded."""
    stored = picture if encoding == "rgb8" else picture[..., ::-1]
    rows = np.pad(stored.reshape(len(picture), -1), ((0, 0), (0, 16)))
    height, width = picture.shape[:2]
    return SimpleNamespace(
        height=height, width=width, step=rows.shape[1], encoding=encoding, data=rows.tobytes()
    )


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_it_acts_on_what_it_has_heard_holds_and_ends(run, encoding):
    spec = Spec(
        obs={"joints": ObsField((2,), "float32"), "front": ObsField((48, 64, 3), "uint8")},
        obs_horizon=1,
        action_dim=2,
        action_horizon=1,
        action_low=(-9.0, -9.0),
        action_high=(9.0, 9.0),
    )
    picture = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    brightness = fit_picture(picture, size=(48, 64))[..., 0].mean() / 255
    policy = Follow(spec)

    def spin(node):
        node.act()
        node.heard["joint_states"](SimpleNamespace(name=["finger"], position=[3.0]))
        node.heard["image_raw"](message_of(picture, encoding))
        node.act()
        assert node.sent == []  # the joints are not known yet
        with pytest.raises(KeyError, match="rgba8"):
            node.heard["image_raw"](message_of(picture, "rgba8"))
        node.heard["joint_states"](
            SimpleNamespace(name=["finger", "joint_2", "joint_1"], position=[3.0, 0.5, -0.25])
        )
        node.act()
        np.testing.assert_allclose(node.sent, [[brightness - 0.25, brightness + 0.5]], rtol=1e-5)
        policy.fails = True
        node.act()
        assert node.sent[1] == [-0.25, 0.5]
        assert len(node.warnings) == 1
        node.seconds += 0.2
        node.heard["joint_states"](
            SimpleNamespace(name=["joint_1", "joint_2"], position=[0.0, 0.0])
        )
        node.seconds += 0.2
        node.act()

    with serving(policy) as server, pytest.raises(SystemExit, match="no front for more than"):
        run(server.url, spin)
