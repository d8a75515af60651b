// Byte-pair encoding as it happens: from bytes to tokens, one merge after the other.

import { html, visible } from "./dom.js";

const MOST = 500; // characters: more would be thousands of steps

export class MergeSteps {
  constructor(tokenizer) {
    this.tokenizer = tokenizer;
    this.status = html("p", { class: "status", role: "status" });
    this.pieces = html("p", { class: "pieces" });
    this.slider = html("input", {
      type: "range", min: 0, value: 0, "aria-label": "step", oninput: () => this.#draw(),
    });
    this.element = html("details", { class: "steps", ontoggle: () => this.#find() },
      html("summary", {}, "Step through the merges"),
      html("div", { class: "stepper" },
        this.#button("previous", -1), this.slider, this.#button("next", 1)),
      this.status, this.pieces);
  }

  /** From now on the steps are those of this text. */
  show(text) {
    this.text = text;
    this.steps = null;
    this.#find();
  }

  #button(name, by) {
    const move = () => {
      this.slider.value = Number(this.slider.value) + by;
      this.#draw();
    };
    return html("button", { type: "button", onclick: move }, name);
  }

  /** Works the steps out, once they are looked at. */
  #find() {
    if (!this.element.open || this.steps) return;
    const long = this.text.length > MOST;
    this.steps = long ? null : mergeSteps(this.tokenizer, this.text);
    this.slider.disabled = long;
    this.slider.max = this.steps ? this.steps.length - 1 : 0;
    this.slider.value = 0;
    this.#draw();
  }

  #draw() {
    const { ids, at } = this.steps?.[Number(this.slider.value)] ?? { ids: [] };
    this.pieces.replaceChildren(...ids.map((id, i) => html("span", {
      class: `piece shade${i % 4}${i === at ? " selected" : ""}`,
    }, visible(this.tokenizer.piece(id)))));
    this.status.textContent = this.#describe(Number(this.slider.value));
    this.slider.setAttribute("aria-valuetext", this.status.textContent);
  }

  #describe(n) {
    if (!this.steps) return `The merges are shown for texts of up to ${MOST} characters.`;
    const last = this.steps.length - 1;
    const { ids, at, rank } = this.steps[n];
    if (!n) return `Before the merges: ${ids.length} bytes, ${last} steps to come`;
    const [a, b] = this.steps[n - 1].ids.slice(at, at + 2)
      .map((id) => visible(this.tokenizer.piece(id)));
    return `Step ${n} of ${last}, by merge ${rank + 1}: “${a}” and “${b}” become one; ` +
      `${ids.length} tokens`;
  }
}

/**
 * How the tokens of a text come about: lists of ids that begin with its bytes; `at` is the
 * place of the token just made, and `rank` the merge that made it. Of all pairs the one
 * that was learned first is next, as in one piece, so over the whole text.
 */
export function mergeSteps(tokenizer, text) {
  const pieces = tokenizer.cut(text).map((part) => {
    const special = tokenizer.special.get(part);
    return special === undefined ? tokenizer.byteIdsOf(part) : [special];
  });
  const steps = [{ ids: pieces.flat() }];
  for (let next = nextMerge(tokenizer, pieces); next; next = nextMerge(tokenizer, pieces)) {
    const { ids, i, token, rank } = next;
    const before = pieces.slice(0, pieces.indexOf(ids)).flat();
    ids.splice(i, 2, token);
    steps.push({ ids: pieces.flat(), at: before.length + i, rank });
  }
  return steps;
}

function nextMerge(tokenizer, pieces) {
  let best = null;
  for (const ids of pieces) {
    for (let i = 0; i + 1 < ids.length; i++) {
      const merge = tokenizer.mergeOf(ids[i], ids[i + 1]);
      if (merge && !(merge.rank >= best?.rank)) best = { ...merge, ids, i };
    }
  }
  return best;
}
