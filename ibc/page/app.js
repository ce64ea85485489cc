// The page: tabs, controls, what is dragged, and what is drawn in every frame.

import { connectControls, showSettings } from "./controls.js";
import { drawMap, mapLayout, mapPen, Pen, prepareMap } from "./draw.js";
import { Solver } from "./solver.js";
import { Stage } from "./stage.js";

const element = (id) => document.getElementById(id);
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

class App {
  constructor(data, worker) {
    this.policies = data.policies;
    this.solver = new Solver(worker, data);
    this.stages = [];
    this.clock = 1;
    this.canvases = { scene: element("scene").getContext("2d"), map: element("map").getContext("2d") };
    this.policies.forEach(({ name }, i) => {
      const tab = document.createElement("button");
      Object.assign(tab, { textContent: name.replaceAll("_", " "), role: "tab", onclick: () => this.show(i) });
      element("tabs").append(tab);
    });
    element("tabs").hidden = this.policies.length < 2;
    connectControls(this);
    this._readColors();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this._readColors());
    new ResizeObserver(() => this._resize()).observe(document.querySelector("main"));
    this.show(0);
    const draw = () => {
      if (this.dirty) this._draw();
      requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
  }

  /** Show one policy. */
  show(index) {
    this.stop();
    const changed = () => { this.dirty = true; };
    this.stages[index] ??= new Stage(this.policies, index, this.solver, changed);
    this.stage = this.stages[index];
    this.stage.onSearch = () => this.tween(1.6, (t) => { this.clock = t; });
    [...element("tabs").children].forEach((tab, i) => tab.setAttribute("aria-selected", i === index));
    const { scene, searches, ownSearch } = this.stage;
    const other = searches[ownSearch] ? "" : ` The policy's own search, ${ownSearch}, is not among those of this page.`;
    const begins = this.stage.policy.warm_start_fraction ? " The page begins each search anew, not at the previous action." : "";
    element("note").textContent = scene.note + other + begins;
    element("scene-title").textContent = this.stage.scene.world ? "Scene" : "Observation";
    element("handles").replaceChildren();
    showSettings(this);
    this._resize();
    this.stage.update({ animate: true });
  }

  /** Call `step(share)` in every frame for some time; a newer one ends it. */
  tween(seconds, step) {
    const own = (this.tweening = {});
    return new Promise((done) => {
      const start = performance.now();
      const frame = (now) => {
        const share = still() || seconds <= 0 ? 1 : Math.min(Math.max(now - start, 0) / (1000 * seconds), 1);
        if (own !== this.tweening) return done();
        step(share);
        this.dirty = true;
        return share < 1 ? requestAnimationFrame(frame) : done();
      };
      requestAnimationFrame(frame);
    });
  }

  /** Decide once, and draw how; whether nothing else ended it. */
  async decide() {
    const { stage } = this;
    const { pace } = stage.settings;
    return stage.decide({
      search: () => this.tween(0.6 * pace, (t) => { this.clock = t; }),
      move: (frames) => this.tween(0.4 * pace, (t) => {
        stage.body = frames[Math.min(Math.floor(t * frames.length), frames.length - 1)];
      }),
    });
  }

  async play() {
    const { stage } = this;
    if (stage.isOver) stage.restart();
    stage.playing = true;
    element("play").textContent = "Pause";
    while (stage.playing && stage === this.stage && !stage.isOver) await this.decide();
    if (stage === this.stage && stage.playing) this.stop();
  }

  stop() {
    if (!this.stage?.playing) return;
    this.stage.playing = false;
    element("play").textContent = "Play";
    this.stage.update();
  }

  _readColors() {
    const style = getComputedStyle(document.documentElement);
    const names = ["paper", "panel", "ink", "soft", "line", "robot", "first", "second", "block", "obstacle", "chosen", "trail", "hatch"];
    this.colors = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    this.dirty = true;
  }

  _resize() {
    const { world } = this.stage.scene;
    element("stage").hidden = !world;
    const aspect = world ? (world.right - world.left) / (world.top - world.bottom) : 1;
    document.querySelector("main").classList.toggle("wide", aspect > 1.2);
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const fit = (context, width, height) => {
      const { canvas } = context;
      canvas.style.height = `${height}px`;
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
    };
    const inner = (id) => element(id).clientWidth - 2 * parseFloat(getComputedStyle(element(id)).paddingLeft);
    this.mapWidth = Math.min(inner("map-panel"), 560);
    fit(this.canvases.map, this.mapWidth, mapLayout(this.mapWidth).height);
    element("map").style.width = `${this.mapWidth}px`;
    if (world) {
      this.sceneWidth = inner("scene-panel");
      this.sceneHeight = this.sceneWidth / aspect;
      fit(this.canvases.scene, this.sceneWidth, this.sceneHeight);
    }
    this.dirty = true;
  }

  _draw() {
    this.dirty = false;
    if (this.stage.scene.world) this._drawScene();
    if (this.stage.map) this._drawMap();
    element("status").textContent = this.stage.status();
  }

  _drawScene() {
    const { stage, colors, canvases: { scene: context } } = this;
    const { scene, world, settings } = stage;
    context.clearRect(0, 0, this.sceneWidth, this.sceneHeight);
    const pen = (this.pen = new Pen(context, scene.project, scene.world, this.sceneWidth));
    for (const { at } of world.obstacles) {
      pen.circle(at, settings.radius, { fill: `${colors.obstacle}66`, stroke: colors.obstacle });
    }
    const shown = { ...world, body: stage.body };
    pen.line([stage.body, ...stage.following].map(scene.place), { color: colors.trail, width: 2, dash: [2, 6] });
    pen.line([...stage.trail, stage.body].map(scene.place), { color: colors.trail, width: 2.5 });
    scene.draw(pen, shown, { showsMoved: stage.showsMoved, colors });
    if (stage.result) pen.cross(scene.target(stage.course.at(-1), stage.result.action), 5, colors.chosen);
    this._placeHandles();
  }

  _placeHandles() {
    const layer = element("handles");
    const handles = this.stage.handles();
    const known = new Map([...layer.children].map((node) => [node.dataset.key, node]));
    for (const handle of handles) {
      const node = known.get(handle.key) ?? this._newHandle(handle, layer);
      known.delete(handle.key);
      const [x, y] = this.pen.at(handle.at);
      node.style.transform = `translate(${x}px, ${y}px)`;
    }
    for (const node of known.values()) node.remove();
  }

  _newHandle({ key, label: name, small }, layer) {
    const node = document.createElement("button");
    node.className = small ? "handle small" : "handle";
    node.dataset.key = key;
    node.setAttribute("aria-label", `${name}: drag, or use the arrow keys`);
    node.title = name;
    node.onpointerdown = (event) => node.setPointerCapture(event.pointerId);
    node.onpointermove = (event) => {
      if (!node.hasPointerCapture(event.pointerId)) return;
      const { left, top } = element("scene").getBoundingClientRect();
      this._moveTo(key, [event.clientX - left, event.clientY - top]);
    };
    node.onpointerup = () => this.stage.update({ animate: true });
    node.onkeydown = (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!way) return;
      event.preventDefault();
      const [x, y] = this.pen.at(this.stage.handles().find((handle) => handle.key === key).at);
      this._moveTo(key, [x + 6 * way[0], y + 6 * way[1]]);
    };
    node.onkeyup = () => this.stage.update();
    layer.append(node);
    return node;
  }

  _moveTo(key, pixels) {
    const inside = [Math.min(Math.max(pixels[0], 0), this.sceneWidth), Math.min(Math.max(pixels[1], 0), this.sceneHeight)];
    this.clock = 1;
    this.tweening = null;
    this.stage.move(key, this.pen.point(inside, this.stage.scene.unproject));
  }

  _drawMap() {
    const { stage, colors, canvases: { map: context }, mapWidth: width } = this;
    if (this.prepared?.map !== stage.map) this.prepared = prepareMap(stage.map, colors.hatch);
    context.clearRect(0, 0, width, mapLayout(width).height);
    drawMap(context, width, this.prepared, stage.scene.axes, colors);
    if (!stage.result) return;
    const { left, top, side } = mapLayout(width);
    context.save();
    context.beginPath();
    context.rect(left, top, side, side);
    context.clip();
    this._drawCandidates(mapPen(context, width, stage.map.plane, stage.scene.project), stage.result);
    context.restore();
  }

  /** Candidates between two iterations, with the paths they came by, and the chosen action. */
  _drawCandidates(pen, { frames, action, search }) {
    const time = this.clock * (frames.length - 1);
    const before = Math.floor(time), after = Math.min(before + 1, frames.length - 1);
    const share = search === "DFO" ? 0 : time - before; // its candidates are drawn anew in each iteration
    const count = Math.min(frames[0].length / 2, 256);
    const of = (frame, i) => [frames[frame][2 * i], frames[frame][2 * i + 1]];
    for (let i = 0; i < count; i++) {
      const [x, y] = of(before, i), [u, v] = of(after, i);
      const now = [x + share * (u - x), y + share * (v - y)];
      if (search !== "DFO" && count <= 64) {
        const path = Array.from({ length: before + 1 }, (_, k) => of(k, i));
        pen.line([...path, now], { color: "rgb(255 255 255 / .28)", width: 1 });
      }
      pen.dot(now, 3.2, { fill: "#ffffff", stroke: "rgb(20 20 40 / .75)", width: 1 });
    }
    if (this.clock === 1) {
      pen.cross(action, 8, "#ffffff");
      pen.cross(action, 6.5, "#ff4d3d");
    }
  }
}

/** Begin: in a page, draw; in a worker, compute. */
export function start(serve) {
  if (typeof document === "undefined") return serve(globalThis);
  const data = JSON.parse(element("data").textContent);
  const source = new Blob([element("code-of-page").textContent], { type: "text/javascript" });
  globalThis.energyPage = new App(data, new Worker(URL.createObjectURL(source)));
  return globalThis.energyPage;
}
