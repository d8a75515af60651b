// A text that several tokenizers cut up: pieces, ids, bytes, and the merges one by one.

import { arrowKey, debounced, html, newId, visible } from "./dom.js";
import { MergeSteps } from "./merge_steps.js";
import { tokenizerOf } from "./source.js";
import { makeTokenizer } from "./tokenizers.js";
import { sentence, show, titleOf } from "./view.js";

const WAIT = 30; // ms without a key before the text is cut again
const MOST = 600; // pieces that are drawn, per tokenizer
const HINT = "Point at a piece or tap it, or choose one with the arrow keys, for its bytes.";

export function render({ model, el }) {
  return show(new TokenizerExplorer(model), el);
}

class TokenizerExplorer {
  constructor(model) {
    this.model = model;
    this.status = html("p", { id: newId(), class: "status", role: "status" }, HINT);
    this.input = html("textarea", {
      id: newId(), rows: 2, spellcheck: "false", maxlength: 5000,
      oninput: debounced(() => this.cut(), WAIT),
    });
    this.input.value = model.get("text");
    this.places = html("div");
    this.element = html("div", { class: "llmlib-view tokenizers" }, titleOf(model),
      html("div", { class: "ask" },
        html("label", { for: this.input.id }, "text"), this.input),
      this.places, this.status);
  }

  async open() {
    const opened = this.model.get("tokenizers").map(async ({ name, json, folder }) => {
      const data = json ?? await tokenizerOf(this.model, folder);
      return new Row(name, makeTokenizer(data), this);
    });
    this.rows = await Promise.all(opened);
    this.places.replaceChildren(...this.rows.map((row) => row.element));
    this.cut();
  }

  close() {}

  cut(text = this.input.value) {
    this.input.value = text;
    this.status.textContent = HINT;
    this.rows?.forEach((row) => row.show(text));
  }
}

/** One tokenizer's view of the text. */
class Row {
  constructor(name, tokenizer, explorer) {
    this.tokenizer = tokenizer;
    this.explorer = explorer;
    this.status = explorer.status;
    this.count = html("span");
    this.pieces = html("p", {
      class: "pieces", tabindex: 0, role: "group", "aria-describedby": this.status.id,
      "aria-label": `The text in pieces, ${name}: the arrow keys choose one`,
      onkeydown: (event) => this.#move(event),
      onpointerover: (event) => this.#choose(event.target.closest?.(".piece")),
    });
    this.steps = tokenizer.type === "BPE" ? new MergeSteps(tokenizer) : null;
    this.element = html("section", { class: "cut", "aria-label": name },
      html("p", { class: "heading" }, html("b", {}, name), this.count),
      this.pieces, this.steps?.element);
  }

  show(text) {
    this.chosen = null;
    try {
      const ids = this.tokenizer.encode(text);
      this.#count(ids.length, Array.from(text).length);
      const rest = ids.length > MOST ? ` … and ${ids.length - MOST} more` : "";
      this.pieces.replaceChildren(...ids.slice(0, MOST).map((id, i) => this.#piece(id, i)), rest);
      this.steps?.show(text);
    } catch (error) {
      this.#refuse(error, text);
    }
  }

  #count(tokens, characters) {
    const known = this.tokenizer.vocabSize.toLocaleString("en");
    const each = tokens ? ` of ${(characters / tokens).toFixed(1)} characters` : "";
    this.count.textContent = ` ${tokens} tokens${each}, from a vocabulary of ${known}`;
  }

  #piece(id, i) {
    return html("span", { class: `piece shade${i % 4}`, "data-id": id },
      html("span", {}, visible(this.tokenizer.piece(id))),
      html("span", { class: "id" }, String(id)));
  }

  /** Says which character the tokenizer does not know, and offers to leave such out. */
  #refuse(error, text) {
    this.count.textContent = "";
    this.steps?.show("");
    this.pieces.replaceChildren(`${sentence(error)} `, html("button", {
      type: "button", onclick: () => this.explorer.cut(this.tokenizer.readable(text)),
    }, "leave such characters out"));
  }

  #choose(piece) {
    if (!piece) return;
    this.chosen?.classList.remove("selected");
    this.chosen = piece;
    piece.classList.add("selected");
    const id = Number(piece.dataset.id);
    const bytes = this.tokenizer.bytes(id);
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const size = `${bytes.length} ${bytes.length === 1 ? "byte" : "bytes"}`;
    this.status.textContent =
      `“${visible(this.tokenizer.piece(id))}” is token ${id}: ${size}, ${hex}`;
  }

  #move(event) {
    const pieces = [...this.pieces.querySelectorAll(".piece")];
    const next = arrowKey(event, pieces.indexOf(this.chosen), pieces.length);
    if (next !== null) this.#choose(pieces[next]);
  }
}
