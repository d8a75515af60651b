// Where each head of each layer looks: small maps of all heads, one of them enlarged, and
// a text whose tokens show what a head takes from them.

import { openModel } from "./client.js";
import { debounced, html, newId, percent, quoted } from "./dom.js";
import { HeadMaps, shades } from "./head_maps.js";
import { LeaveOut } from "./leave_out.js";
import { sourceOf } from "./source.js";
import { TokenText } from "./tokens.js";
import { sentence, show, titleOf } from "./view.js";

const WAIT = 150; // ms without a key before the text is read again
const MOST_TOKENS = 48; // more would be too small to see
const TOP = 3;

const askForText = () => document.dispatchEvent(new CustomEvent("llmlib:ask-text"));

export function render({ model, el }) {
  return show(new AttentionExplorer(model), el);
}

class AttentionExplorer {
  constructor(model) {
    this.model = model;
    this.turn = 0;
    this.again = debounced(() => this.read(), WAIT);
    this.status = html("p", { id: newId(), class: "status", role: "status" }, "\u00a0");
    this.tokens = new TokenText({
      label: "The text, token by token: the arrow keys choose the token that looks",
      describedBy: this.status.id,
      onselect: (i) => this.look(i),
      onpoint: (i) => this.look(i < 0 ? this.tokens.selected : i),
    });
    const [layer, head] = model.get("head");
    this.maps = new HeadMaps({
      chosen: { layer, head },
      onchoose: () => this.look(this.tokens.selected),
    });
    this.input = html("textarea", {
      id: newId(), rows: 2, spellcheck: "false", maxlength: 2000,
      oninput: () => {
        this.follow.checked = false;
        this.again();
      },
    });
    this.input.value = model.get("text");
    this.follow = html("input", {
      type: "checkbox", id: newId(), checked: true, onchange: askForText,
    });
    this.following = html("p", { class: "follow", hidden: true }, this.follow,
      html("label", { for: this.follow.id }, "follow the text of the Playground on this page"));
    this.leaveOut = new LeaveOut(this.input, () => this.read());
    this.element = this.#layOut();
  }

  #layOut() {
    return html("div", { class: "llmlib-view attention" },
      titleOf(this.model),
      html("div", { class: "ask" },
        html("label", { for: this.input.id }, "text"), this.input,
        this.following, html("div", { class: "buttons" }, this.leaveOut.element)),
      this.tokens.element,
      html("div", { class: "under" }, this.status),
      this.maps.element);
  }

  async open() {
    const source = await sourceOf(this.model, this.model.get("model_name"));
    this.reader = await openModel(source);
    document.addEventListener("llmlib:text", this.#hear);
    await this.read();
    askForText();
  }

  close() {
    this.turn += 1;
    document.removeEventListener("llmlib:text", this.#hear);
    this.reader?.close();
  }

  /** Takes over the text that a Playground with the same model has written. */
  #hear = ({ detail }) => {
    if (detail.model !== this.model.get("model_name")) return;
    this.following.hidden = false;
    if (!this.follow.checked || detail.text === this.input.value) return;
    this.input.value = detail.text;
    this.again();
  };

  /** Runs the model over the text, and shows what its heads do there. */
  async read() {
    if (!this.reader) return; // `open` reads once it is there
    const turn = ++this.turn;
    try {
      const seen = await this.reader.attention(this.input.value, MOST_TOKENS);
      if (turn !== this.turn) return;
      this.rest = seen.more ? `; of the text, the first ${MOST_TOKENS} tokens are read` : "";
      this.leaveOut.hide();
      this.seen = seen;
      this.tokens.select(-1); // so that choosing the last one is a change
      this.tokens.cut(0);
      seen.ids.forEach((id, i) => {
        this.tokens.set(i, { id, text: seen.pieces[i].replaceAll("\n", "⏎") }, () => {});
      });
      this.maps.show(seen);
      this.tokens.select(seen.length - 1);
    } catch (error) {
      if (turn !== this.turn) return;
      this.status.textContent = sentence(error);
      await this.leaveOut.offer(this.reader);
    }
  }

  /** Shades each token by what the chosen head takes from it at token `i`. */
  look(i) {
    if (!this.seen || i < 0) return;
    const row = this.maps.row(i);
    const shade = shades(row);
    this.tokens.tokens.forEach(({ span }, k) => {
      span.style.setProperty("--shade", shade[k].toFixed(3));
      span.classList.toggle("later", k > i);
    });
    this.maps.mark(i);
    this.status.textContent = this.#describe(i, row);
  }

  #describe(i, row) {
    const best = Array.from(row, (weight, k) => ({ weight, k }))
      .sort((a, b) => b.weight - a.weight).slice(0, TOP)
      .map(({ weight, k }) => {
        const name = k === i ? "itself" : quoted(this.seen.pieces[k]);
        return `${name} ${percent(weight)}`;
      });
    const { layer, head } = this.maps.chosen;
    const who = `In layer ${layer}, head ${head}, ${quoted(this.seen.pieces[i])}`;
    return `${who} looks at ${best.join(", ")}${this.rest}`;
  }
}
