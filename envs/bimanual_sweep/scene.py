"""The table as a MuJoCo model: beads in a tray, two bowls behind it, two scoops on slide and hinge joints.

Meters, kilograms, seconds; x points to the right, y away from the viewer, z up from the table top.
"""

from __future__ import annotations

import math

from ibc_envs.studio import SURFACES, VISUAL

#: Beads: radius (m), mass (kg), and what stops one that rolls (N m s/rad): let go at 0.3 m/s, it rolls on for 30 mm.
PIECE_RADIUS, PIECE_MASS, PIECE_DAMPING = 0.009, 0.005, 5e-6
#: The tray's inner corners. Bowls stand behind it.
TRAY = ((-0.32, -0.19), (0.32, 0.15))
WALL_HEIGHT, WALL = 0.02, 0.005
#: A bowl: its middle (left, right), radius at the rim and at the bottom, height.
BOWLS = ((-0.13, 0.265), (0.13, 0.265))
BOWL_RIM, BOWL_BOTTOM, BOWL_HEIGHT = 0.095, 0.07, 0.04
#: A scoop: length and width of its blade, thickness, slope of its blade when level (rad), heights of sides and back.
BLADE_LENGTH, BLADE_WIDTH, BLADE, SLOPE, SIDE, BACK = 0.085, 0.13, 0.003, 0.14, 0.024, 0.032
#: How much of the blade's length in front the sides leave free.
LIP = 0.012
#: Pose numbers of a scoop: of the middle of its lip (m), and its turns (rad).
JOINTS = ("x", "y", "z", "yaw", "pitch", "roll")
#: Seconds of a simulation step, and how many of them make a control step: 10 Hz.
DT, SUBSTEPS = 0.004, 25
#: Mass (kg), inertia (kg m^2) of a scoop with what holds it; stiffness (N/m, N m/rad), damping for no overshoot, and
#: greatest force (N) and torque (N m): a held-back scoop does not crush beads.
SCOOP_MASS, SCOOP_INERTIA = 0.5, 2e-3
STIFFNESS, TWIST_STIFFNESS = 1000.0, 4.0
DAMPING = 2 * math.sqrt(STIFFNESS * SCOOP_MASS)
TWIST_DAMPING = 2 * math.sqrt(TWIST_STIFFNESS * SCOOP_INERTIA)
FORCE, TORQUE = 8.0, 0.8


def scene_xml(count: int) -> str:
    """The model in MuJoCo's XML, with ``count`` beads."""
    return f"""
<mujoco model="bimanual_sweep">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="{DT}" integrator="implicitfast" iterations="30"/>
  <size memory="4M"/>
  {VISUAL}
  <asset>
    {SURFACES}
    <material name="bowl" rgba="0.93 0.93 0.95 1" specular="0.2" shininess="0.3"/>
    <material name="inside" rgba="0.30 0.33 0.38 1" specular="0.1" shininess="0.1"/>
    <material name="left" rgba="0.20 0.42 0.80 1" specular="0.3" shininess="0.4"/>
    <material name="right" rgba="0.16 0.60 0.40 1" specular="0.3" shininess="0.4"/>
    <material name="piece" rgba="0.90 0.25 0.20 1" specular="0.3" shininess="0.5"/>
  </asset>
  <default>
    <geom condim="3" friction="0.4 0.005 0.0001" solref="0.01 1"/>
    <default class="seen"><geom contype="0" conaffinity="0" mass="0"/></default>
    <default class="table"><geom contype="2" conaffinity="0"/></default>
    <default class="scoop"><geom contype="4" conaffinity="6" friction="0.2 0.005 0.0001" mass="0"/></default>
    <default class="piece"><geom contype="1" conaffinity="7" material="piece"/></default>
  </default>
  <worldbody>
    <light pos="0.3 -0.6 1.8" dir="-0.05 0.3 -1" directional="true" diffuse="0.45 0.45 0.45" specular="0.2 0.2 0.2"/>
    <camera name="observation" pos="0 -0.13 0.86" xyaxes="1 0 0 0 0.972 0.235" fovy="36.5"/>
    <camera name="film" pos="0 -0.62 0.62" xyaxes="1 0 0 0 0.68 0.73" fovy="44"/>
    <geom class="table" type="plane" size="0 0 1" rgba="0 0 0 0"/>
    {_table()}
    {_bowl(*BOWLS[0])}{_bowl(*BOWLS[1])}
    {_scoop("left", turned=False)}
    {_scoop("right", turned=True)}
    {"".join(_piece(i) for i in range(count))}
  </worldbody>
  <actuator>{_actuators("left")}{_actuators("right")}</actuator>
</mujoco>"""


def _table() -> str:
    (x0, y0), (x1, y1) = TRAY
    y2 = BOWLS[0][1] + BOWL_RIM + 0.01
    cx, wx = (x0 + x1) / 2, (x1 - x0) / 2
    height, half = WALL_HEIGHT / 2, WALL
    bars = [
        (cx, y0 - half, wx + 2 * half, half),
        (cx, y1 + half, wx + 2 * half, half),
        (x0 - half, (y0 + y1) / 2, half, (y1 - y0) / 2),
        (x1 + half, (y0 + y1) / 2, half, (y1 - y0) / 2),
    ]
    walls = "".join(
        f'<geom class="table" type="box" size="{sx} {sy} {height}" pos="{x} {y} {height}" material="rim"/>'
        for x, y, sx, sy in bars
    )
    middle, deep = (y0 + y2) / 2, (y2 - y0) / 2
    return (
        f'<geom class="seen" type="box" size="{wx + 0.02} {deep + 0.02} 0.02" pos="{cx} {middle} -0.0205" material="table"/>'
        + walls
    )


def _bowl(x: float, y: float) -> str:
    """Eight slanted walls; the table is the bottom."""
    count, thick = 8, 0.002
    slant = math.atan2(BOWL_RIM - BOWL_BOTTOM, BOWL_HEIGHT)
    high = math.hypot(BOWL_RIM - BOWL_BOTTOM, BOWL_HEIGHT) / 2
    wide = BOWL_RIM * math.tan(math.pi / count)
    radius = (BOWL_RIM + BOWL_BOTTOM) / 2
    walls = "".join(
        f'<body pos="0 0 {BOWL_HEIGHT / 2}" euler="0 0 {2 * math.pi * k / count}">'
        f'<geom class="table" type="box" size="{thick} {wide} {high}" pos="{radius} 0 0" euler="0 {slant} 0" material="bowl"/>'
        "</body>"
        for k in range(count)
    )
    bottom = f'<geom class="seen" type="cylinder" size="{BOWL_BOTTOM} 0.0005" pos="0 0 0.0005" material="inside"/>'
    return f'<body pos="{x} {y} 0">{bottom}{walls}</body>'


def _scoop(name: str, *, turned: bool) -> str:
    """A dustpan whose origin is the middle of its lip, on three slides along the table's axes and three hinges.

    Its own x axis points forwards, to the other scoop; pitch is positive lip down.
    """
    sign, turn = (-1, "0 0 0 1") if turned else (1, "1 0 0 0")
    axes = ((sign, 0, 0), (0, sign, 0), (0, 0, 1), (0, 0, 1), (0, 1, 0), (1, 0, 0))
    joints = "".join(
        f'<joint name="{name}_{joint}" type="{"slide" if i < 3 else "hinge"}" axis="{a} {b} {c}"/>'
        for i, (joint, (a, b, c)) in enumerate(zip(JOINTS, axes, strict=True))
    )
    length, width = BLADE_LENGTH / 2, BLADE_WIDTH / 2
    side = (BLADE_LENGTH - LIP) / 2
    parts = [
        (length, width, BLADE / 2, -length, 0.0, BLADE / 2),
        (side, BLADE / 2, SIDE / 2, -LIP - side, width, SIDE / 2),
        (side, BLADE / 2, SIDE / 2, -LIP - side, -width, SIDE / 2),
        (BLADE / 2, width, BACK / 2, -BLADE_LENGTH, 0.0, BACK / 2),
    ]
    pan = "".join(
        f'<geom class="scoop" type="box" size="{a} {b} {c}" pos="{x} {y} {z}" material="{name}"/>'
        for a, b, c, x, y, z in parts
    )
    return f"""
    <body name="{name}" quat="{turn}" gravcomp="1">
      <inertial pos="0 0 0" mass="{SCOOP_MASS}" diaginertia="{SCOOP_INERTIA} {SCOOP_INERTIA} {SCOOP_INERTIA}"/>
      {joints}
      <body name="{name}_pan" euler="0 {SLOPE} 0">{pan}
        <geom class="seen" type="capsule" size="0.007" fromto="{-BLADE_LENGTH} 0 0.02 {-BLADE_LENGTH - 0.09} 0 0.05" material="{name}"/>
      </body>
    </body>"""


def _actuators(name: str) -> str:
    out = []
    for i, joint in enumerate(JOINTS):
        kp, kv, most = (
            (STIFFNESS, DAMPING, FORCE) if i < 3 else (TWIST_STIFFNESS, TWIST_DAMPING, TORQUE)
        )
        out.append(
            f'<position name="{name}_{joint}" joint="{name}_{joint}" kp="{kp}" kv="{kv}" forcerange="-{most} {most}"/>'
        )
    return "".join(out)


def _piece(i: int) -> str:
    return (
        f'<body name="piece{i}"><joint name="piece{i}" type="free" damping="{PIECE_DAMPING}"/>'
        f'<geom class="piece" type="sphere" size="{PIECE_RADIUS}" mass="{PIECE_MASS}"/></body>'
    )
