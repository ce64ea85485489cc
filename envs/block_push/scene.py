"""The table as a MuJoCo model: blocks, targets, a slot, and the tool on slide joints or on an arm.

Meters, kilograms, seconds; x points away from the arm's base, y to its left, z up from the table top. Sizes, masses,
friction and the camera are those of the published environments (google-research/ibc, environments/block_pushing).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ibc_envs.block_push import arm as xarm
from ibc_envs.studio import SURFACES, VISUAL

ARMS = ("slides", "xarm")

#: Edge (m) and mass (kg) of a block.
BLOCK_SIZE, BLOCK_MASS = 0.04, 0.01
#: The tool's rod: radius, height of its end above the table, length. A capsule: MuJoCo has its contacts with boxes in
#: closed form, and symmetric; a cylinder's come from an iterative search and turned blocks that were pushed straight.
TOOL_RADIUS, TOOL_CLEARANCE, TOOL_LENGTH = 0.005, 0.006, 0.12
#: Set-points are held inside this box (rows: lower and upper corner; published: x from 0.15) and within the arm's reach
#: of its base.
WORKSPACE = ((0.19, -0.5), (0.7, 0.5))
REACH = 0.69
#: A rim keeps blocks on the table. Two blocks always fit between it and the tool, which therefore cannot squeeze them.
RIM = ((0.07, -0.62), (0.82, 0.62))
#: Side of a target zone.
TARGET_SIZE = 0.12
#: The slot: play of a block in it (both sides together), length, and thickness of its walls, whose ends are round.
SLOT_PLAY, SLOT_LENGTH, SLOT_WALL = 0.0008, 0.042, 0.014
#: Polished walls: with the friction of the table a block would wedge at every touch.
SLOT_FRICTION = 0.1
#: Seconds of a simulation step, and how many of them make a control step: 10 Hz. With steps of 5 ms, how far a block is
#: moved by an eccentric push depended on what holds the tool; with these, the slides and the arm agree.
DT, SUBSTEPS = 0.0025, 40

#: Stiffness (N/m), damping (N s/m), mass (kg) and greatest force (N) of the slide joints. A tool that is light and not
#: strong cannot press a 10 g block deep into a wall.
SLIDE_KP, SLIDE_KV, SLIDE_MASS, SLIDE_FORCE = 400.0, 9.0, 0.05, 4.0

BLUE, AMBER = (0.15, 0.40, 0.85), (0.93, 0.55, 0.05)
#: The published camera, as MuJoCo writes it.
CAMERA = 'pos="1 0 0.75" xyaxes="0 1 0 -0.70710678 0 0.70710678" fovy="50.06"'
CLUTTER_COLOR = "0.50 0.20 0.70 1"
BLOCK_COLORS = ("0.90 0.25 0.27 1", "0.16 0.55 0.36 1")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What lies on the table.

    Attributes:
        num_blocks: on the table.
        block_colors: (r, g, b, alpha) of each block, as MuJoCo writes it.
        targets: color (r, g, b) of each target.
        target_size: sides (x, y) of a target zone (m).
        rim: lower and upper corner (x, y) of the table's edge, which blocks do not cross (m).
        slot: whether the first target is a slot instead of a zone.
        clutter: middle (x, y) of each box of a block's size that stands fast on the table and belongs to no task (m).
        camera: of pictures that are observed, as MuJoCo writes it.
    """

    num_blocks: int = 1
    block_colors: Sequence[str] = BLOCK_COLORS
    targets: Sequence[tuple[float, float, float]] = (BLUE,)
    target_size: tuple[float, float] = (TARGET_SIZE, TARGET_SIZE)
    rim: tuple[tuple[float, float], tuple[float, float]] = RIM
    slot: bool = False
    clutter: Sequence[tuple[float, float]] = ()
    camera: str = CAMERA


def scene_xml(scene: Scene, arm: str) -> str:
    """The model in MuJoCo's XML."""
    blocks = "".join(_block(i, scene.block_colors[i]) for i in range(scene.num_blocks))
    targets = "".join(_target(scene, i) for i in range(len(scene.targets)))
    clutter = "".join(_clutter(x, y) for x, y in scene.clutter)
    pusher, actuators = (xarm.body_xml(tool_xml()), xarm.ACTUATORS) if arm == "xarm" else _slides()
    return f"""
<mujoco model="block_push">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="{DT}" integrator="implicitfast" cone="elliptic" impratio="10" iterations="50"/>
  <size memory="{2 * scene.num_blocks}M"/>
  {VISUAL}
  <asset>
    {SURFACES}
    <material name="metal" rgba="0.62 0.65 0.70 1" specular="0.5" shininess="0.5"/>
    <material name="shell" rgba="0.95 0.95 0.96 1" specular="0.3" shininess="0.4"/>
    <material name="rod" rgba="0.13 0.14 0.17 1" specular="0.4" shininess="0.5"/>
    <material name="slot" rgba="0.27 0.33 0.42 1" specular="0.2" shininess="0.3"/>
  </asset>
  <default>
    <geom condim="3" friction="1 0.005 0.0001" solref="0.01 1"/>
    <default class="seen"><geom contype="0" conaffinity="0" mass="0"/></default>
    <default class="table"><geom contype="2" conaffinity="0"/></default>
    <default class="tool"><geom contype="4" conaffinity="8"/></default>
    <default class="slot"><geom contype="8" conaffinity="0" material="slot" friction="{SLOT_FRICTION} 0.005 0.0001" solref="0.005 1" priority="1"/></default>
    <default class="clutter"><geom contype="10" conaffinity="0" rgba="{CLUTTER_COLOR}"/></default>
    <default class="block"><geom contype="1" conaffinity="15"/></default>
  </default>
  <worldbody>
    <light pos="0.5 -0.6 1.8" dir="-0.05 0.3 -1" directional="true" diffuse="0.45 0.45 0.45" specular="0.2 0.2 0.2"/>
    <camera name="observation" {scene.camera}/>
    <camera name="film" pos="1.05 0 0.70" xyaxes="0 1 0 -0.69 0 0.72" fovy="44"/>
    <geom class="table" type="plane" size="0 0 1" rgba="0 0 0 0"/>
    {_table(scene)}
    {pusher}
    {blocks}
    {targets}
    {clutter}
  </worldbody>
  <actuator>{actuators}</actuator>
</mujoco>"""


def tool_xml() -> str:
    """The rod and its mount; the origin is the end of the rod, at its lower face's center."""
    half = TOOL_LENGTH / 2
    return f"""
      <geom class="tool" name="rod" type="capsule" size="{TOOL_RADIUS} {half}" pos="0 0 {half + TOOL_RADIUS}" material="rod" mass="0.01"/>
      <geom class="seen" type="cylinder" size="0.016 0.012" pos="0 0 {TOOL_LENGTH}" material="metal"/>
      <site name="tip" pos="0 0 0" size="0.002" rgba="0 0 0 0"/>"""


def _slides() -> tuple[str, str]:
    body = f"""
    <body name="tool" pos="0 0 {TOOL_CLEARANCE}" gravcomp="1">
      <inertial pos="0 0 0.05" mass="{SLIDE_MASS}" diaginertia="0.001 0.001 0.001"/>
      <joint name="x" type="slide" axis="1 0 0"/>
      <joint name="y" type="slide" axis="0 1 0"/>
      {tool_xml()}
      <geom class="seen" type="cylinder" size="0.022 0.006" pos="0 0 {TOOL_LENGTH + 0.018}" material="shell"/>
    </body>"""
    gains = f'kp="{SLIDE_KP}" kv="{SLIDE_KV}" forcerange="-{SLIDE_FORCE} {SLIDE_FORCE}"'
    return body, "".join(f'<position name="{j}" joint="{j}" {gains}/>' for j in "xy")


def _table(scene: Scene) -> str:
    (x0, y0), (x1, y1) = scene.rim
    cx, cy, wx, wy = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2
    bar = 0.01
    rims = [
        (cx, y0 - bar, wx + 2 * bar, bar),
        (cx, y1 + bar, wx + 2 * bar, bar),
        (x0 - bar, cy, bar, wy),
        (x1 + bar, cy, bar, wy),
    ]
    walls = "".join(
        f'<geom class="table" type="box" size="{sx} {sy} 0.012" pos="{x} {y} 0.012" material="rim"/>'
        for x, y, sx, sy in rims
    )
    top = f'<geom class="seen" type="box" size="{wx} {wy} 0.02" pos="{cx} {cy} -0.0205" material="table"/>'
    return top + walls


def _block(i: int, color: str) -> str:
    """A block that rests on the table by its weight, and does not tip: on its side it would have no yaw to observe."""
    half = BLOCK_SIZE / 2
    return f"""
    <body name="block{i}" pos="0 0 {half}">
      <joint name="block{i}" type="slide" axis="1 0 0"/>
      <joint type="slide" axis="0 1 0"/>
      <joint type="slide" axis="0 0 1" range="-0.002 0.003" solreflimit="0.005 1"/>
      <joint type="hinge" axis="0 0 1"/>
      <geom class="block" type="box" size="{half} {half} {half}" mass="{BLOCK_MASS}" rgba="{color}"/>
    </body>"""


def _clutter(x: float, y: float) -> str:
    half = BLOCK_SIZE / 2
    return f'<geom class="clutter" type="box" size="{half} {half} {half}" pos="{x} {y} {half}"/>'


def _target(scene: Scene, i: int) -> str:
    full = " ".join(str(c) for c in scene.targets[i])
    pale = " ".join(f"{0.5 + 0.5 * c}" for c in scene.targets[i])
    if i == 0 and scene.slot:
        inside = _slot(pale)
    else:
        x, y = (side / 2 for side in scene.target_size)
        inside = f"""
      <geom class="seen" type="box" size="{x} {y} 0.0004" pos="0 0 0.0004" rgba="{pale} 1"/>
      <geom class="seen" type="cylinder" size="0.02 0.0004" pos="0 0 0.0010" rgba="{full} 1"/>"""
    return f'<body name="target{i}" mocap="true" pos="0.4 {0.2 + 0.2 * i} 0">{inside}</body>'


def _slot(color: str) -> str:
    """Walls around the seat; a block enters along +x of the slot and then has its center at the origin."""
    half, wall, height = BLOCK_SIZE / 2, SLOT_WALL / 2, 0.015
    side = half + SLOT_PLAY / 2 + wall
    back = half + wall
    mouth = half - SLOT_LENGTH + wall  # the round end of each wall has its center here
    long = (back + wall - mouth) / 2
    out = [
        f'<geom class="slot" type="box" size="{wall} {side + wall} {height}" pos="{back} 0 {height}"/>',
        f'<geom class="seen" type="box" size="{half} {half} 0.0005" pos="0 0 0.0005" rgba="{color} 1"/>',
    ]
    for y in (side, -side):
        out += [
            f'<geom class="slot" type="box" size="{long} {wall} {height}" pos="{mouth + long} {y} {height}"/>',
            f'<geom class="slot" type="cylinder" size="{wall} {height}" pos="{mouth} {y} {height}"/>',
        ]
    return "".join(out)
