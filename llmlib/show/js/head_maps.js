// Attention weights as maps: a small one for each head of each layer, and one enlarged.
// Row: the token that looks; column: the token that is looked at.

import { html, percent, svg, visible } from "./dom.js";

const INK = [42, 134, 200]; // the book's blue; weights are its opacity, so both modes fit
const SIDE = 230; // of the enlarged map, and the room for its labels
const ROOM = 80;
const LABEL = 10; // characters of a label, and the pixels of its letters
const LETTERS = { least: 10.5, most: 12 };

export class HeadMaps {
  constructor({ chosen, onchoose }) {
    this.onchoose = onchoose;
    this.chosen = chosen;
    const label = "The heads: choose one to enlarge";
    this.grid = html("div", { class: "heads", role: "group", "aria-label": label });
    this.large = html("div", { class: "large" });
    this.element = html("div", { class: "maps" }, this.grid, this.large);
  }

  /** Draws all maps of {layers, heads, length, pieces, weights}. */
  show(seen) {
    this.seen = seen;
    if (!this.small) this.#makeGrid();
    for (const { canvas, layer, head } of this.small) {
      drawMap(canvas, this.#weights(layer, head), seen.length);
    }
    this.#enlarge();
  }

  /** What token `i` takes from each token, in the chosen head. */
  row(i) {
    const { layer, head } = this.chosen;
    const { length } = this.seen;
    return this.#weights(layer, head).subarray(i * length, (i + 1) * length);
  }

  /** Marks the row of token `i` in every map, and names what each head takes most from. */
  mark(i) {
    const { length, pieces } = this.seen;
    for (const { layer, head, line, most } of this.small) {
      const row = this.#weights(layer, head).subarray(i * length, (i + 1) * length);
      const best = row.indexOf(Math.max(...row));
      line.style.top = `${(100 * i) / length}%`;
      line.style.height = `${100 / length}%`;
      most.replaceChildren(
        html("span", { class: "name" }, short(pieces[best])), ` ${percent(row[best])}`);
    }
    this.line.setAttribute("y", ROOM + (i * SIDE) / length);
    this.line.setAttribute("height", SIDE / length);
  }

  #weights(layer, head) {
    const { heads, length, weights } = this.seen;
    const size = length * length;
    const start = (layer * heads + head) * size;
    return weights.subarray(start, start + size);
  }

  #makeGrid() {
    const { layers, heads } = this.seen;
    this.grid.style.setProperty("--heads", heads);
    this.small = [];
    for (let layer = 0; layer < layers; layer++) {
      for (let head = 0; head < heads; head++) this.small.push(this.#makeSmall(layer, head));
    }
    this.grid.replaceChildren(...this.small.flatMap(({ button, layer, head }) =>
      head ? [button] : [html("p", { class: "heading" }, `layer ${layer}`), button]));
    this.#choose(this.chosen.layer, this.chosen.head);
  }

  #makeSmall(layer, head) {
    const canvas = html("canvas", { "aria-hidden": "true" });
    const line = html("span", { class: "line" });
    const most = html("span", { class: "most" });
    const name = html("span", {}, `head ${head}`,
      html("span", { class: "unseen" }, ` of layer ${layer}: `));
    const button = html("button", {
      type: "button", "aria-pressed": "false",
      onclick: () => {
        this.#choose(layer, head);
        this.#enlarge();
        this.onchoose();
      },
    }, html("span", { class: "map" }, canvas, line), name, most);
    return { button, canvas, line, most, layer, head };
  }

  #choose(layer, head) {
    this.chosen = { layer, head };
    for (const { button, ...at } of this.small) {
      button.setAttribute("aria-pressed", at.layer === layer && at.head === head);
    }
  }

  #enlarge() {
    const { layer, head } = this.chosen;
    const { length, pieces } = this.seen;
    const canvas = document.createElement("canvas");
    drawMap(canvas, this.#weights(layer, head), length);
    const cell = SIDE / length;
    const every = Math.ceil(LETTERS.least / cell); // labels that have room
    const labels = pieces.flatMap((piece, i) => {
      if (i % every) return [];
      const middle = ROOM + (i + 0.5) * cell;
      const look = {
        "dominant-baseline": "central", "font-size": Math.min(LETTERS.most, cell * every),
      };
      const left = { x: ROOM - 5, y: middle, "text-anchor": "end" };
      const above = { transform: `translate(${middle} ${ROOM - 5}) rotate(-90)` };
      return [left, above].map((place) => svg("text", { ...look, ...place }, short(piece)));
    });
    this.line = svg("rect", { class: "line", x: ROOM, width: SIDE });
    const whole = ROOM + SIDE + 2;
    const square = { x: ROOM, y: ROOM, width: SIDE, height: SIDE };
    const name = `Layer ${layer}, head ${head}: each row looks at the columns`;
    this.large.replaceChildren(
      html("p", { class: "heading" }, html("span", { "aria-hidden": "true" }, name),
        "; full blue is a row’s largest weight"),
      svg("svg", { viewBox: `0 0 ${whole} ${whole}`, role: "img", "aria-label": name },
        svg("image", { href: canvas.toDataURL(), ...square }), svg("rect", square),
        this.line, ...labels));
  }
}

function drawMap(canvas, weights, length) {
  canvas.width = canvas.height = length;
  const context = canvas.getContext("2d");
  const image = context.createImageData(length, length);
  for (let start = 0; start < weights.length; start += length) {
    shades(weights.subarray(start, start + length))
      .forEach((shade, k) => image.data.set([...INK, 255 * shade], 4 * (start + k)));
  }
  context.putImageData(image, 0, 0);
}

/** How deep the weights of a row are drawn: its largest in full, so that a row that looks
 * at many tokens can be seen as well, and small ones deeper than they are. */
export function shades(row) {
  const largest = Math.max(...row);
  return row.map((weight) => (weight / largest) ** 0.7);
}

function short(piece) {
  const label = visible(piece);
  return label.length > LABEL ? `${label.slice(0, LABEL - 1)}…` : label;
}
