"""A ROS 2 node: joint positions and pictures to a policy server (``ibc serve``), set-points of the joints to the robot.

It acts from its start until Ctrl-C, or until a sensor is late; the robot then stays at its last set-point.
"""

import os

import cv2
import numpy as np
import rclpy.qos
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray

from ibc_client import Client

URL, JOINTS, SIZE = "ws://127.0.0.1:8765", ("joint_1", "joint_2"), (64, 48)  # width, height
PERIOD, MAX_AGE = 0.1, 0.3  # s: between two actions, and of the oldest observation

rclpy.init()
node = rclpy.create_node("policy")
commands = node.create_publisher(Float64MultiArray, "commands", 1)
obs, times = {}, {}


def note(name, value):
    obs[name], times[name] = value, node.get_clock().now().nanoseconds / 1e9


def joints(message):
    found = dict(zip(message.name, message.position, strict=False))
    if found.keys() >= set(JOINTS):  # else of others, or no positions
        note("joints", np.array([found[name] for name in JOINTS], np.float32))


def picture(message):
    order = {"rgb8": 1, "bgr8": -1}[message.encoding]  # no other encoding is understood
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    rgb = rows[:, : 3 * message.width].reshape(message.height, message.width, 3)[..., ::order]
    note("front", cv2.resize(rgb, SIZE, interpolation=cv2.INTER_AREA))


def act():
    if len(obs) < 2:  # not every sensor has been heard of
        return
    oldest = min(times, key=times.get)
    if node.get_clock().now().nanoseconds / 1e9 - times[oldest] > MAX_AGE:
        raise SystemExit(f"no {oldest} for more than {MAX_AGE} s")
    decision = client.step(obs)
    commands.publish(Float64MultiArray(data=decision.action.tolist()))
    if decision.is_safe_action:  # it holds the joints where they are
        node.get_logger().warning(decision.reason)


node.create_subscription(JointState, "joint_states", joints, rclpy.qos.qos_profile_sensor_data)
node.create_subscription(Image, "image_raw", picture, rclpy.qos.qos_profile_sensor_data)
token, hold = os.environ.get("IBC_TOKEN"), lambda seen: seen["joints"]
with Client(URL, safe_action=hold, timeout=PERIOD / 2, token=token) as client:
    client.reset(seed=0)  # waits for the server
    node.create_timer(PERIOD, act)
    rclpy.spin(node)
