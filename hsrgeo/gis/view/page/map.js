// The map: cells in their own grid, and lines over them. x and y of the middle are in cells, scale in CSS pixels a cell.

import { painter } from "./values.js";

const UNSEEN = [213, 218, 224, 255], DRY = [250, 250, 250, 255];

export class Chart {
  constructor(box, echo, lines) {
    Object.assign(this, { box, echo, lines });
    this.sheet = document.createElement("canvas");
    this.x = this.y = 0;
    this.scale = 1;
    this.opacity = 1;
    this.marked = null;
  }

  show(view, grid, place) {
    Object.assign(this, { grid, place });
    this.paint = painter(view.quantity, view.classes, { unseen: view.unknown ?? UNSEEN, dry: view.dry ?? DRY });
    const net = grid.graticule.map((tick) => ({ ...tick, points: unpacked(tick.line) }));
    this.paths = { coast: pathOf((grid.coast ?? []).map(unpacked)), border: pathOf((grid.border ?? []).map(unpacked)), net: pathOf(net.map((tick) => tick.points)) };
    this.net = net;
  }

  size() {
    const ratio = devicePixelRatio || 1, { clientWidth: width, clientHeight: height } = this.box;
    for (const canvas of [this.echo, this.lines]) {
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
      }
    }
    return { width, height, ratio };
  }

  fit() {
    const { width, height } = this.size(), top = 20, bottom = 90;
    this.scale = Math.min(width / this.grid.width, Math.max(height - top - bottom, 80) / this.grid.height) * 0.98;
    this.x = this.grid.width / 2;
    this.y = this.grid.height / 2 + (bottom - top) / 2 / this.scale;
  }

  toCell(px, py) {
    const { width, height } = this.size();
    return [this.x + (px - width / 2) / this.scale, this.y + (py - height / 2) / this.scale];
  }

  toPixel(x, y) {
    const { width, height } = this.size();
    return [width / 2 + (x - this.x) * this.scale, height / 2 + (y - this.y) * this.scale];
  }

  seen() {
    const { width, height } = this.size();
    return [...this.toCell(0, 0), ...this.toCell(width, height)];
  }

  zoom(times, px, py) {
    const [x, y] = this.toCell(px, py);
    this.scale = Math.min(Math.max(this.scale * times, 0.02), 64);
    const [nowX, nowY] = this.toCell(px, py);
    this.x += x - nowX;
    this.y += y - nowY;
  }

  /** Draw pictures, the coarse one first; none for a gap. */
  draw(pictures) {
    const { ratio } = this.size(), context = this.echo.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = 1;
    context.fillStyle = "#eceff2";
    context.fillRect(0, 0, this.echo.width, this.echo.height);
    context.imageSmoothingEnabled = false;
    const [left, top] = this.toPixel(0, 0);
    const span = [left, top, this.grid.width * this.scale, this.grid.height * this.scale].map((one) => Math.round(one * ratio));
    context.fillStyle = pictures.length ? "#fafafa" : "#d5dae0";
    context.fillRect(...span);
    context.globalAlpha = this.opacity;
    for (const { x, y, width, height, data, across, down } of pictures) {
      this.sheet.width = width;
      this.sheet.height = height;
      const image = new ImageData(width, height);
      this.paint(data, new Uint32Array(image.data.buffer));
      this.sheet.getContext("2d").putImageData(image, 0, 0);
      const [from, upper] = this.toPixel(x * across, y * down), [to, lower] = this.toPixel((x + width) * across, (y + height) * down);
      const corner = [Math.round(from * ratio), Math.round(upper * ratio)];
      context.drawImage(this.sheet, ...corner, Math.round(to * ratio) - corner[0], Math.round(lower * ratio) - corner[1]);
    }
  }

  drawLines(cities) {
    const { width, height, ratio } = this.size(), context = this.lines.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.lines.width, this.lines.height);
    const [left, top] = this.toPixel(0, 0), scale = this.scale * ratio;
    context.setTransform(scale, 0, 0, scale, left * ratio, top * ratio);
    for (const [name, colour, thick] of [["net", "rgba(70,85,105,.22)", 1], ["border", "rgba(60,70,85,.7)", 0.8], ["coast", "#39424f", 1]]) {
      context.strokeStyle = colour;
      context.lineWidth = thick / this.scale;
      context.stroke(this.paths[name]);
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const text = (words, x, y, align, colour) => {
      context.textAlign = align;
      context.lineWidth = 3;
      context.strokeStyle = "rgba(255,255,255,.85)";
      context.fillStyle = colour;
      context.strokeText(words, x, y);
      context.fillText(words, x, y);
    };
    context.font = "11px system-ui, sans-serif";
    for (const { label, meridian, points } of this.net) {
      const at = meridian ? crossing(points.map(([x, y]) => this.toPixel(x, y).reverse()), height - 112) : crossing(points.map(([x, y]) => this.toPixel(x, y)), 14);
      if (at !== null && at > 20 && at < (meridian ? width : height) - 20) text(label, meridian ? at : 10, meridian ? height - 108 : at - 4, meridian ? "center" : "left", "#667080");
    }
    context.font = "12px system-ui, 'Noto Sans KR', 'Noto Sans CJK KR', sans-serif";
    const taken = [];
    for (const [lon, lat, name] of cities) {
      const cell = this.place.cell(lon, lat);
      if (!cell || cell[0] < 0 || cell[1] < 0 || cell[0] > this.grid.width || cell[1] > this.grid.height) continue;
      const [x, y] = this.toPixel(...cell);
      if (taken.some(([a, b]) => Math.abs(a - x) < 60 && Math.abs(b - y) < 16)) continue;
      taken.push([x, y]);
      context.fillStyle = "#1b2430";
      context.beginPath();
      context.arc(x, y, 2, 0, 7);
      context.fill();
      text(name, x + 6, y + 4, "left", "#1b2430");
    }
    const lengths = [500, 200, 100, 50, 20, 10, 5, 2, 1, 0.5], km = this.grid.cell_m / 1000;
    const length = lengths.find((one) => (one / km) * this.scale < 120) ?? 0.2, bar = (length / km) * this.scale;
    context.strokeStyle = context.fillStyle = "#39424f";
    context.lineWidth = 2;
    context.beginPath();
    const low = height - (width > 640 ? 96 : 172); // above the legend of a narrow page
    context.moveTo(16, low);
    context.lineTo(16 + bar, low);
    context.stroke();
    text(`${length} km`, 16, low - 6, "left", "#39424f");
    if (this.marked) {
      const [x, y] = this.toPixel(this.marked[0], this.marked[1]);
      context.beginPath();
      context.arc(x, y, 6, 0, 7);
      context.strokeStyle = "#fff";
      context.lineWidth = 4;
      context.stroke();
      context.strokeStyle = "#d9480f";
      context.lineWidth = 2;
      context.stroke();
    }
  }
}

function unpacked(deltas) {
  const points = [];
  for (let at = 0, x = 0, y = 0; at < deltas.length; at += 2) points.push([(x += deltas[at] / 10), (y += deltas[at + 1] / 10)]);
  return points;
}

function pathOf(lines) {
  const path = new Path2D();
  for (const [first, ...rest] of lines) {
    path.moveTo(...first);
    for (const point of rest) path.lineTo(...point);
  }
  return path;
}

function crossing(points, at) {
  for (let order = 1; order < points.length; order++) {
    const [a, b] = points[order - 1], [c, d] = points[order];
    if ((a - at) * (c - at) <= 0 && a !== c) return b + ((d - b) * (at - a)) / (c - a);
  }
  return null;
}
