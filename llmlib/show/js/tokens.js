// A text token by token: tinted, and each token can be pointed at or reached by keys.

import { arrowKey, html } from "./dom.js";

const MOST_BITS = 8; // of so many bits, or more, a token has the full tint

/** How deep the tint of a token is: from 0 to 1. */
export const depth = (bits) => Math.min(Math.max(bits, 0) / MOST_BITS, 1);

/**
 * A text of which one token at a time can be selected: by a click, or by the arrow keys
 * where the text has the focus. `onselect(i)` hears of it (-1: nothing is selected), and
 * `onpoint(i)` of the token under the mouse (-1: none).
 */
export class TokenText {
  constructor({ label, describedBy, onselect, onpoint }) {
    this.tokens = [];
    this.selected = -1;
    this.onselect = onselect;
    this.element = html("p", {
      class: "tokens", tabindex: 0, role: "group", "aria-label": label,
      "aria-describedby": describedBy,
      onkeydown: (event) => this.#move(event),
      onclick: (event) => this.select(this.#at(event), true),
      onpointerover: (event) => onpoint(this.#at(event)),
      onpointerleave: () => onpoint(-1),
    });
  }

  /** Makes `token` ({id, text, …}) the i-th, drawn by `draw(span, token)` if it is new. */
  set(i, token, draw) {
    const before = this.tokens[i];
    if (before && before.id === token.id && before.text === token.text) {
      Object.assign(before, { taken: false }, token);
      draw(before.span, before);
      return;
    }
    this.cut(i);
    const span = html("span", { class: "token" }, marked(token.text));
    span.classList.toggle("selected", i === this.selected);
    draw(span, token);
    this.tokens.push({ ...token, span });
    this.element.append(span);
  }

  /** Leaves the first n tokens only. What is selected may be a place still to be filled. */
  cut(n) {
    for (const { span } of this.tokens.splice(n)) span.remove();
  }

  /** From here on, only what is there can be selected. */
  settle() {
    if (this.selected >= this.tokens.length) this.select(-1);
  }

  select(i, toggle = false) {
    const next = toggle && i === this.selected ? -1 : i;
    if (next === this.selected) return;
    this.tokens[this.selected]?.span.classList.remove("selected");
    this.selected = next;
    this.tokens[next]?.span.classList.add("selected");
    this.onselect(next);
  }

  #at(event) {
    const span = event.target.closest?.(".token");
    return this.tokens.findIndex((token) => token.span === span);
  }

  #move(event) {
    const next = event.key === "Escape"
      ? -1
      : arrowKey(event, this.selected, this.tokens.length);
    if (next !== null) this.select(next);
  }
}

/** The text as it is read; a line's end is marked, so that it has a place to be tinted. */
const marked = (text) => text.replaceAll("\n", "⏎\n").replaceAll("\0", "␀");
