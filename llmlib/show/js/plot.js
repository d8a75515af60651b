// Lines on axes, drawn at the width they have, so that letters are as large as the page's.

import { arrowKey, newId, svg } from "./dom.js";

const HEIGHT = 300;
const HEAD = 24; // where the axis begins, counted from above, and where it ends
const BASE = HEIGHT - 40;
const LETTER = 7; // pixels
const GAP = 16; // between the names of curves
const KINDS = 5; // of colours and dashes, in widgets.css

export class Plot {
  constructor({ label, describedBy, onread }) {
    this.onread = onread;
    this.element = svg("svg", {
      tabindex: 0, role: "group", "aria-label": label, "aria-describedby": describedBy,
      onpointermove: (event) => this.#point(event),
      onpointerdown: (event) => this.#point(event),
      onkeydown: (event) => this.#move(event),
    });
    this.hatch = newId();
  }

  /** Draws curves ({name, points}), baselines and the floor. */
  draw({ curves, baselines, floor, scale, x, unit, places }) {
    this.log = scale === "log";
    const width = this.element.clientWidth || 640;
    this.element.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.places = places;
    const levels = Object.entries(baselines);
    const ends = curves.map(({ name, points }, i) =>
      ({ name, x: points.at(-1)[0], y: points.at(-1)[1], kind: `curve${i % KINDS}` }));
    const last = places.at(-1);
    for (const [name, y] of levels) ends.push({ name, x: last, y, kind: "level" });
    if (floor !== null) ends.push({ name: "the floor", x: last, y: floor, kind: "level" });
    const longest = Math.max(...ends.map(({ name }) => name.length));
    this.#scale(width - Math.min(width * 0.36, 16 + LETTER * longest), ends, curves, floor);
    this.marks = svg("g", { class: "marks" });
    this.element.replaceChildren(
      this.#hatching(), ...this.#axes(x, unit), ...this.#ground(floor),
      ...levels.map(([, y]) => this.#level(y, "baseline")),
      ...curves.map(({ points }, i) => this.#line(points, i)),
      ...this.#names(ends), this.marks);
  }

  /** A line at `x`, and a dot on each curve. */
  mark(x, points) {
    this.at = x;
    this.marks.replaceChildren(
      svg("line", { x1: this.x(x), x2: this.x(x), y1: HEAD, y2: BASE }),
      ...points.map(([px, py], i) => svg("circle", {
        class: `curve${i % KINDS}`, cx: this.x(px), cy: this.y(py), r: 4,
      })));
  }

  #scale(right, ends, curves, floor) {
    const xs = this.places;
    const ys = curves.flatMap(({ points }) => points).concat(ends.map(({ y }) => [0, y]));
    this.top = Math.max(...ys.map(([, y]) => y));
    const lowest = Math.min(...ys.map(([, y]) => y));
    // Room below the floor, to be hatched: no model can be there.
    const below = floor === null ? 0.03 : 0.12;
    const linearly = Math.max(lowest - below * (this.top - lowest), lowest < 0 ? -Infinity : 0);
    this.log &&= lowest > 0;
    this.bottom = this.log ? lowest * (lowest / this.top) ** below : linearly;
    this.left = 44;
    this.right = right;
    this.x = linear(xs[0], xs.at(-1), this.left, right);
    this.xOf = linear(this.left, right, xs[0], xs.at(-1));
    this.y = this.log
      ? (y) => linear(Math.log(this.bottom), Math.log(this.top), BASE, HEAD)(Math.log(y))
      : linear(this.bottom, this.top, BASE, HEAD);
  }

  #axes(x, unit) {
    const across = ticks(this.places[0], this.places.at(-1), (this.right - this.left) / 70);
    const up = this.log ? decades(this.bottom, this.top) : ticks(this.bottom, this.top, 6);
    return [
      svg("path", { class: "axis", d: `M${this.left} ${HEAD}V${BASE}H${this.right}` }),
      ...across.flatMap((at) => [
        svg("path", { class: "axis", d: `M${this.x(at)} ${BASE}v4` }),
        svg("text", { x: this.x(at), y: BASE + 17, "text-anchor": "middle" }, plain(at)),
      ]),
      ...up.flatMap((at) => [
        svg("path", { class: "axis", d: `M${this.left} ${this.y(at)}h-4` }),
        svg("text", {
          x: this.left - 8, y: this.y(at), "text-anchor": "end", dy: "0.32em",
        }, plain(at)),
      ]),
      svg("text", { x: 2, y: 12 }, unit),
      svg("text", { x: (this.left + this.right) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, x),
    ];
  }

  #hatching() {
    return svg("defs", {}, svg("pattern", {
      id: this.hatch, width: 7, height: 7, patternUnits: "userSpaceOnUse",
      patternTransform: "rotate(45)",
    }, svg("line", { class: "hatching", y2: 7 })));
  }

  #ground(floor) {
    if (floor === null) return [];
    const y = this.y(floor);
    return [
      svg("rect", {
        x: this.left, y, width: this.right - this.left, height: this.y(this.bottom) - y,
        fill: `url(#${this.hatch})`,
      }),
      this.#level(floor, "floor"),
    ];
  }

  #level(y, kind) {
    const at = this.y(y);
    return svg("line", { class: kind, x1: this.left, x2: this.right, y1: at, y2: at });
  }

  #line(points, i) {
    const path = points.map(([x, y]) => `${this.x(x).toFixed(1)},${this.y(y).toFixed(1)}`);
    return svg("polyline", { class: `line curve${i % KINDS}`, points: path.join(" ") });
  }

  /** Names right of where their lines end; of one that ends early, within the axes, where
   * they have the room. */
  #names(ends) {
    const early = ({ name, x }) => this.x(x) + 16 + LETTER * name.length < this.right;
    return [
      ...this.#tied(ends.filter(early), (x) => this.x(x)),
      ...this.#tied(ends.filter((end) => !early(end)), () => this.right),
    ];
  }

  /** Names apart from each other, each tied to its line's end. */
  #tied(ends, edge) {
    const sorted = ends.map((end) => ({ ...end, from: this.y(end.y) }))
      .sort((a, b) => a.from - b.from);
    const heights = spread(sorted.map(({ from }) => from), GAP, BASE);
    return sorted.flatMap(({ name, x, kind, from }, i) => [
      svg("path", {
        class: `tie ${kind}`, d: `M${edge(x) + 2} ${from}L${edge(x) + 10} ${heights[i]}`,
      }),
      svg("text", { x: edge(x) + 13, y: heights[i], dy: "0.32em" }, name),
    ]);
  }

  #point(event) {
    const scale = this.element.viewBox.baseVal.width / this.element.clientWidth;
    const at = (event.clientX - this.element.getBoundingClientRect().left) * scale;
    this.onread(this.xOf(Math.min(Math.max(at, this.left), this.right)));
  }

  #move(event) {
    const next = arrowKey(event, this.places.indexOf(this.at), this.places.length);
    if (next !== null) this.onread(this.places[next]);
  }
}

/** Places in rising order, moved apart: forward as far as neighbours need, then back again
 * where that went beyond the end. */
function spread(places, gap, end) {
  const moved = [];
  for (const place of places) moved.push(Math.max(place, (moved.at(-1) ?? -Infinity) + gap));
  for (let i = moved.length - 1, limit = end; i >= 0; i--, limit = moved[i + 1] - gap) {
    moved[i] = Math.min(moved[i], limit);
  }
  return moved;
}

const linear = (low, high, from, to) => (value) =>
  from + ((to - from) * (value - low)) / (high - low || 1);

/** 1, 2 and 5 times each power of ten from low to high. */
function decades(low, high) {
  const first = Math.floor(Math.log10(low));
  const count = Math.ceil(Math.log10(high)) - first + 1;
  return Array.from({ length: count }, (_, i) => 10 ** (first + i))
    .flatMap((power) => [power, 2 * power, 5 * power])
    .filter((value) => value >= low && value <= high);
}

/** Round numbers from low to high, about n of them, and no fewer than three. */
function ticks(low, high, n) {
  const rough = (high - low) / Math.max(n, 1) || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= rough);
  const first = Math.ceil(low / step);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  if (count < 3 && high > low) return ticks(low, high, n + 1);
  return Array.from({ length: Math.max(count, 0) }, (_, i) => (first + i) * step);
}

const plain = (x) => Number(x.toPrecision(6)).toLocaleString("en");
