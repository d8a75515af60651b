// The likeliest next tokens as bars: the model's own probability, and the one after the
// rules of sampling. Each bar is a button that takes its token.

import { html, percent, visible } from "./dom.js";

const COLUMN = 12; // characters of a token that fit before its bar
const SCALES = [0.1, 0.2, 0.5, 1]; // what a bar of full length may stand for

/** Draws the bars into a list; `ontake(choice)` hears which one was pressed. */
export class Bars {
  constructor({ ontake }) {
    this.ontake = ontake;
    this.rows = [];
    this.caption = html("p", { class: "heading" });
    this.list = html("ol", { class: "bars" });
    this.element = html("div", { class: "next" }, this.caption, this.list,
      html("p", { class: "legend" },
        html("span", { class: "swatch own" }), "the model’s own ",
        html("span", { class: "swatch ruled" }), "after the rules"));
  }

  /** Shows choices of {id, piece, p, q} in their order. */
  show(caption, choices) {
    this.caption.textContent = caption;
    while (this.rows.length > choices.length) this.rows.pop().item.remove();
    const most = Math.max(...choices.flatMap(({ p, q }) => [p, q]));
    const scale = SCALES.find((full) => full >= most) ?? 1;
    choices.forEach((choice, i) => {
      this.rows[i] ??= this.#addRow();
      fill(this.rows[i], choice, scale);
    });
  }

  /** Marks the choice that stands in the text. */
  mark(id) {
    for (const { button, choice, stands } of this.rows) {
      button.classList.toggle("stands", choice.id === id);
      stands.textContent = choice.id === id ? ", stands in the text" : "";
    }
  }

  #addRow() {
    const row = {
      piece: html("span", { class: "piece" }),
      own: html("span", { class: "own" }),
      ruled: html("span", { class: "ruled" }),
      number: html("span", { class: "number" }),
      more: html("span", { class: "unseen" }),
      stands: html("span", { class: "unseen" }),
    };
    const bar = html("span", { class: "bar" }, row.ruled, row.own);
    row.button = html("button", { type: "button", onclick: () => this.ontake(row.choice) },
      row.piece, bar, row.number, row.more, row.stands);
    row.item = html("li", {}, row.button);
    this.list.append(row.item);
    return row;
  }
}

function fill(row, choice, scale) {
  const label = visible(choice.piece);
  row.choice = choice;
  row.piece.textContent = label.length > COLUMN ? `${label.slice(0, COLUMN - 1)}…` : label;
  row.own.style.width = `${(100 * choice.p) / scale}%`;
  row.ruled.style.width = `${(100 * choice.q) / scale}%`;
  row.number.textContent = percent(choice.q);
  row.more.textContent = ` after the rules, ${percent(choice.p)} the model’s own`;
  row.button.classList.toggle("ruled-out", choice.q === 0);
  row.button.title = `take “${label}”`;
}
