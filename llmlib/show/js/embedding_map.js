// Tokens as points in the plane of their first two principal components; the nearest
// neighbours of one of them, in all channels, on hover or by keys.

import { arrowKey, html, newId, percent, svg } from "./dom.js";
import { show, titleOf } from "./view.js";

const HEIGHT = 0.72; // of the width
const MARGIN = { left: 14, right: 46, top: 14, bottom: 14 };
const LETTER = 7.2; // pixels of a label's letter, and its height
const LINE = 13;
const DOT = 4; // the radius of a point, with some air
// Where a label can stand beside its point, the best place first: how far right of it and
// below it, by which of its sides, and the share of its width that lies left of there.
const SPOTS = [
  { x: 6, y: 0, anchor: "start", share: 0 },
  { x: -6, y: 0, anchor: "end", share: 1 },
  { x: 0, y: -11, anchor: "middle", share: 0.5 },
  { x: 0, y: 11, anchor: "middle", share: 0.5 },
];

const HINT = "Point at a token or tap it, or choose one with the arrow keys, for its neighbours.";

export function render({ model, el }) {
  return show(new EmbeddingMap(model), el);
}

class EmbeddingMap {
  constructor(model) {
    this.labels = model.get("labels");
    this.stages = model.get("stages");
    this.stage = this.stages.at(-1);
    this.chosen = -1;
    this.status = html("p", { id: newId(), class: "status", role: "status" }, HINT);
    this.plot = svg("svg", {
      tabindex: 0, role: "group", "aria-label": "Map of tokens: the arrow keys choose one",
      "aria-describedby": this.status.id,
      onkeydown: (event) => this.#move(event),
      onpointerover: (event) => this.#point(event),
      onpointerleave: () => this.choose(-1),
    });
    this.axes = html("p", { class: "legend" });
    this.resizer = new ResizeObserver(() => this.resize());
    this.element = html("div", { class: "llmlib-view embedding" },
      titleOf(model),
      html("div", { class: "ask inline" }, this.#find(), this.#choice()),
      this.plot, html("div", { class: "under" }, this.status, this.axes));
    this.#draw();
  }

  open() {
    this.resizer.observe(this.plot);
    this.resize();
  }

  close() {
    this.resizer.disconnect();
  }

  /** A box in which a token is found by its name. */
  #find() {
    const list = html("datalist", { id: newId() },
      ...this.labels.map((label) => html("option", { value: label })));
    const input = html("input", {
      type: "text", id: newId(), list: list.id, autocomplete: "off", spellcheck: "false",
      oninput: () => {
        const word = input.value.trim();
        this.choose(this.labels.findIndex((label) => label === word || label === `·${word}`));
      },
    });
    return html("span", {}, html("label", { for: input.id }, "find a token"), " ", input, list);
  }

  /** One radio button a stage, where there are several. */
  #choice() {
    if (this.stages.length < 2) return null;
    const group = newId();
    const buttons = this.stages.map((stage) => {
      const input = html("input", {
        type: "radio", name: group, id: newId(), checked: stage === this.stage,
        onchange: () => {
          this.stage = stage;
          this.resize();
          this.choose(this.chosen);
        },
      });
      return html("span", {}, input, html("label", { for: input.id }, stage.name));
    });
    return html("fieldset", {}, html("legend", { class: "unseen" }, "moment"), ...buttons);
  }

  #draw() {
    this.lines = svg("g", { class: "lines" });
    this.points = this.labels.map((label, i) => svg("g", { class: "point", "data-i": i },
      svg("circle", { r: 9, class: "catch" }), svg("circle", { r: 3 }),
      svg("text", { dy: "0.32em" }, label)));
    this.plot.replaceChildren(this.lines, ...this.points);
  }

  /** Puts everything where it belongs at this width. */
  resize() {
    const width = this.plot.clientWidth || 640;
    const height = Math.max(260, Math.round(width * HEIGHT));
    if (width !== this.width) {
      this.plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
      this.plot.style.height = `${height}px`;
      Object.assign(this, { width, height });
    }
    this.places = fit(this.stage.points, width, this.height);
    this.places.forEach(([x, y], i) => {
      this.points[i].style.transform = `translate(${x}px, ${y}px)`;
    });
    this.shown = spotsThatFit(this.places, this.labels, width, this.height);
    const shares = this.stage.shares.map(percent);
    this.axes.textContent = `across: ${shares[0]} of the variance, up: ${shares[1]}`;
    this.#mark();
  }

  choose(i) {
    this.chosen = i;
    this.#mark();
    if (i < 0) {
      this.status.textContent = HINT;
      return;
    }
    const near = this.stage.neighbours[i]
      .map(([j, cosine]) => `${this.labels[j]} ${cosine.toFixed(2)}`).join(", ");
    this.status.textContent = `Nearest to ${this.labels[i]}, by cosine: ${near}`;
  }

  #mark() {
    const near = new Set((this.stage.neighbours[this.chosen] ?? []).map(([j]) => j));
    this.points.forEach((point, i) => {
      point.classList.toggle("chosen", i === this.chosen);
      point.classList.toggle("near", near.has(i));
      point.classList.toggle("labelled", this.shown.has(i));
    });
    this.plot.classList.toggle("choosing", this.chosen >= 0);
    const ties = this.#label(this.chosen < 0 ? [] : [this.chosen, ...near]);
    const [x1, y1] = this.places[this.chosen] ?? [];
    this.lines.replaceChildren(...ties, ...Array.from(near, (j) => {
      const [x2, y2] = this.places[j];
      return svg("line", { x1, y1, x2, y2 });
    }));
  }

  /** Writes these labels, and all others where they have room; gives back a line to each
   * that cannot stand at its point. */
  #label(members) {
    const { places, labels, width, height } = this;
    const beside = spotsBeside(members, places, labels, width, height);
    this.points.forEach((point, i) => {
      const { x, y, anchor } = beside.get(i) ?? this.shown.get(i) ?? SPOTS[0];
      place(point.lastChild, x, y, anchor);
    });
    return members.flatMap((i) => {
      const [x, y] = places[i];
      const spot = beside.get(i);
      const tie = { class: "tie", x1: x, y1: y, x2: x + spot.x, y2: y + spot.y };
      return Math.abs(spot.y) > LINE ? [svg("line", tie)] : [];
    });
  }

  #point(event) {
    const point = event.target.closest?.(".point");
    if (point) this.choose(Number(point.dataset.i));
  }

  /** Moves on to the next token to the right or left, or above or below. */
  #move(event) {
    const axis = ["ArrowUp", "ArrowDown"].includes(event.key) ? 1 : 0;
    const order = this.places.map((_, i) => i)
      .sort((a, b) => this.places[a][axis] - this.places[b][axis]);
    const next = arrowKey(event, order.indexOf(this.chosen), order.length);
    if (next !== null) this.choose(order[next]);
  }
}

function place(label, x, y, anchor) {
  label.setAttribute("x", x);
  label.setAttribute("y", y);
  label.setAttribute("text-anchor", anchor);
}

/** Points scaled into the picture, upwards being up. */
function fit(points, width, height) {
  const scale = (axis, first, last) => {
    const values = points.map((point) => point[axis]);
    const low = Math.min(...values);
    const span = Math.max(...values) - low || 1;
    return (value) => first + ((last - first) * (value - low)) / span;
  };
  const x = scale(0, MARGIN.left, width - MARGIN.right);
  const y = scale(1, height - MARGIN.bottom, MARGIN.top);
  return points.map(([a, b]) => [x(a), y(b)]);
}

/** The spots of the labels that can be written without lying on a point, on another label
 * or beyond the picture, by their numbers. */
function spotsThatFit(places, labels, width, height) {
  const taken = places.map(dotAt);
  const shown = new Map();
  places.forEach((at, i) => {
    const spot = SPOTS.find((each) => free(boxOf(labels[i], at, each), taken, width, height));
    if (!spot) return;
    taken.push(boxOf(labels[i], at, spot));
    shown.set(i, spot);
  });
  return shown;
}

/** A spot for every label of these numbers, as near to its point as the others leave room. */
function spotsBeside(members, places, labels, width, height) {
  const taken = members.map((i) => dotAt(places[i]));
  const chosen = new Map();
  for (const i of members) {
    const rows = Array.from(members, (_, k) => [(k + 1) * LINE, -(k + 1) * LINE]).flat();
    const spots = [0, ...rows].flatMap((y) => [{ ...SPOTS[0], y }, { ...SPOTS[1], y }]);
    const fits = (spot) => free(boxOf(labels[i], places[i], spot), taken, width, height);
    const spot = spots.find(fits) ?? SPOTS[0];
    taken.push(boxOf(labels[i], places[i], spot));
    chosen.set(i, spot);
  }
  return chosen;
}

const free = (box, taken, width, height) =>
  box.left >= 0 && box.right <= width && box.top >= 0 && box.bottom <= height
  && taken.every((other) => apart(box, other));

const dotAt = ([x, y]) =>
  ({ left: x - DOT, right: x + DOT, top: y - DOT, bottom: y + DOT });

function boxOf(label, [x, y], spot) {
  const wide = LETTER * label.length;
  const left = x + spot.x - spot.share * wide;
  const top = y + spot.y - LINE / 2;
  return { left, right: left + wide, top, bottom: top + LINE };
}

const apart = (a, b) =>
  a.left > b.right || a.right < b.left || a.top > b.bottom || a.bottom < b.top;
