// Drawing: a pen for scenes, the map with its axes and color bar.

import { COLORS, mapImage, ticks } from "./color.js";

const FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";

/** Draws in the units of a scene; lengths of lines and dots are in pixels. */
export class Pen {
  constructor(context, project, frame, pixels) {
    this.context = context;
    this.project = project;
    this.frame = frame;
    this.scale = pixels / (frame.right - frame.left);
  }

  /** Pixels of a point. */
  at(point) {
    const [right, up] = this.project(point);
    return [(right - this.frame.left) * this.scale, (this.frame.top - up) * this.scale];
  }

  /** The point at these pixels, where `unproject` is the scene's. */
  point([x, y], unproject) {
    return unproject([this.frame.left + x / this.scale, this.frame.top - y / this.scale]);
  }

  _paint({ fill, stroke, width = 1.5, dash = [] }) {
    const { context } = this;
    if (fill) { context.fillStyle = fill; context.fill(); }
    if (stroke) {
      context.strokeStyle = stroke; context.lineWidth = width;
      context.setLineDash(dash); context.stroke(); context.setLineDash([]);
    }
  }

  circle(center, radius, style) {
    this.dot(center, radius * this.scale, style);
  }

  dot(center, pixels, style) {
    this.context.beginPath();
    this.context.arc(...this.at(center), pixels, 0, 2 * Math.PI);
    this._paint({ width: 2, ...style });
  }

  _polygon(points, style) {
    this.context.beginPath();
    points.forEach((point, i) => this.context[i ? "lineTo" : "moveTo"](...this.at(point)));
    this.context.closePath();
    this._paint(style);
  }

  box(low, high, style) {
    this._polygon([low, [high[0], low[1]], high, [low[0], high[1]]], style);
  }

  square(center, side, yaw, style) {
    const [c, s] = [Math.cos(yaw), Math.sin(yaw)];
    const corners = [[1, 1], [-1, 1], [-1, -1], [1, -1]].map((corner) => corner.map((x) => (x * side) / 2));
    this._polygon(corners.map(([x, y]) => [center[0] + c * x - s * y, center[1] + s * x + c * y]), style);
  }

  line(points, { color, width = 1.5, dash = [] }) {
    if (points.length < 2) return;
    this.context.beginPath();
    points.forEach((point, i) => this.context[i ? "lineTo" : "moveTo"](...this.at(point)));
    this.context.lineJoin = this.context.lineCap = "round";
    this._paint({ stroke: color, width, dash });
  }

  arrow(from, to, { color, width }) {
    this.line([from, to], { color, width });
    const [[x0, y0], [x1, y1]] = [this.at(from), this.at(to)];
    const angle = Math.atan2(y1 - y0, x1 - x0);
    this.context.beginPath();
    this.context.moveTo(x1, y1);
    for (const turn of [2.6, -2.6]) this.context.lineTo(x1 + 9 * Math.cos(angle + turn), y1 + 9 * Math.sin(angle + turn));
    this.context.closePath();
    this._paint({ fill: color });
  }

  cross(center, pixels, color) {
    const [x, y] = this.at(center);
    this.context.beginPath();
    for (const [dx, dy] of [[1, 1], [1, -1]]) {
      this.context.moveTo(x - dx * pixels, y - dy * pixels);
      this.context.lineTo(x + dx * pixels, y + dy * pixels);
    }
    this._paint({ stroke: color, width: 2.5 });
  }

  text(center, content, { color, size = 13, weight = 500 }) {
    label(this.context, content, ...this.at(center), { color, size, weight, align: "center", baseline: "middle" });
  }
}

export function label(context, content, x, y, { color, size = 12, weight = 400, align = "center", baseline = "top" }) {
  context.font = `${weight} ${size}px ${FONT}`;
  context.fillStyle = color;
  context.textAlign = align;
  context.textBaseline = baseline;
  context.fillText(content, x, y);
}

/** Where the parts of the map's canvas are, for its width in pixels. */
export function mapLayout(width) {
  const left = 54, right = 10, top = 10;
  const side = width - left - right;
  return { left, top, side, bar: { top: top + side + 56, height: 12 }, height: top + side + 108 };
}

/** Prepare the image of a map once, to be drawn in every frame. */
export function prepareMap(map, hatch) {
  const image = canvasOf(mapImage(map, Math.max(1, Math.round(288 / map.size))));
  if (!map.allowed || map.allowed.every(Boolean)) return { map, image, forbidden: null };
  const mask = new ImageData(map.size, map.size);
  map.allowed.forEach((allowed, i) => { mask.data[4 * i + 3] = allowed ? 0 : 255; });
  const forbidden = document.createElement("canvas");
  forbidden.width = forbidden.height = 576;
  const context = forbidden.getContext("2d");
  context.imageSmoothingEnabled = true;
  context.drawImage(canvasOf(mask), 0, 0, 576, 576);
  context.globalCompositeOperation = "source-in";
  context.lineWidth = 3;
  context.strokeStyle = hatch;
  const lines = document.createElement("canvas");
  lines.width = lines.height = 576;
  const pattern = lines.getContext("2d");
  pattern.strokeStyle = hatch;
  pattern.lineWidth = 2.5;
  for (let x = -576; x < 576; x += 14) { pattern.moveTo(x, 576); pattern.lineTo(x + 576, 0); }
  pattern.stroke();
  context.drawImage(lines, 0, 0);
  return { map, image, forbidden };
}

function canvasOf(image) {
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Round numbers within an interval, or a hair outside: five of them, or about as many. */
export function axisTicks(low, high) {
  const rough = (high - low) / 5.2;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((x) => x * power).find((x) => x >= rough);
  const hair = 0.005 * (high - low);
  const found = [];
  for (let k = Math.ceil((low - hair) / step); k * step <= high + hair; k++) found.push(Number((k * step).toPrecision(6)));
  return found;
}

/** Draw image, axes and color bar of a map. */
export function drawMap(context, width, prepared, axes, colors) {
  const layout = mapLayout(width);
  const { left, top, side, bar } = layout;
  const { plane, low, high } = prepared.map;
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(prepared.image, left, top, side, side);
  if (prepared.forbidden) context.drawImage(prepared.forbidden, left, top, side, side);
  context.strokeStyle = colors.line;
  context.lineWidth = 1;
  context.strokeRect(left - 0.5, top - 0.5, side + 1, side + 1);
  const shown = (value, sign) => String(Number((sign * value).toPrecision(6))).replace("-", "−");
  for (const x of axisTicks(plane.left, plane.right)) {
    const at = left + (side * (x - plane.left)) / (plane.right - plane.left);
    context.fillStyle = colors.line;
    context.fillRect(at, top + side, 1, 4);
    label(context, shown(x, axes[0].sign), at, top + side + 7, { color: colors.soft });
  }
  for (const y of axisTicks(plane.bottom, plane.top)) {
    const at = top + (side * (plane.top - y)) / (plane.top - plane.bottom);
    context.fillStyle = colors.line;
    context.fillRect(left - 4, at, 4, 1);
    label(context, shown(y, axes[1].sign), left - 7, at, { color: colors.soft, align: "right", baseline: "middle" });
  }
  label(context, axes[0].name, left + side / 2, top + side + 25, { color: colors.ink, size: 13 });
  context.save();
  context.translate(9, top + side / 2);
  context.rotate(-Math.PI / 2);
  label(context, axes[1].name, 0, 0, { color: colors.ink, size: 13, baseline: "middle" });
  context.restore();
  const gradient = context.createLinearGradient(left, 0, left + side, 0);
  COLORS.forEach((color, i) => gradient.addColorStop(i / 255, `rgb(${color.map(Math.round).join(" ")})`));
  context.fillStyle = gradient;
  context.fillRect(left, bar.top, side, bar.height);
  for (const { value, at } of ticks(low, high)) {
    context.fillStyle = colors.line;
    context.fillRect(left + at * (side - 1), bar.top + bar.height, 1, 4);
    label(context, String(Number(value.toPrecision(3))), left + at * side, bar.top + bar.height + 6, { color: colors.soft });
  }
  label(context, "energy above the lowest on the map", left + side / 2, bar.top + bar.height + 22, { color: colors.ink, size: 13 });
}

/** A pen for the plane of a map. */
export function mapPen(context, width, plane, project) {
  const { left, top, side } = mapLayout(width);
  const pen = new Pen(context, project, plane, side);
  const scale = [side / (plane.right - plane.left), side / (plane.top - plane.bottom)];
  pen.at = (action) => {
    const [right, up] = project(action);
    return [left + (right - plane.left) * scale[0], top + (plane.top - up) * scale[1]];
  };
  return pen;
}
