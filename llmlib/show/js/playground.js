// The Playground: a prompt, the dials of sampling, and a model that writes at once.

import { Bars } from "./bars.js";
import { openModel } from "./client.js";
import { Controls } from "./controls.js";
import { debounced, html, newId, prefersStillness, quoted, whenVisible } from "./dom.js";
import { LeaveOut } from "./leave_out.js";
import { sourceOf } from "./source.js";
import { TokenText, depth } from "./tokens.js";
import { sentence, show, titleOf } from "./view.js";
import { Writer } from "./writer.js";

const WAIT = 40; // ms without a change before the model writes again

export function render({ model, el }) {
  return show(new Playground(model), el);
}

class Playground {
  constructor(model) {
    this.model = model;
    this.again = debounced(() => this.writer.write(), WAIT);
    this.prompt = html("textarea", {
      id: newId(), rows: 2, spellcheck: "false", oninput: () => this.#begin(),
    });
    this.prompt.value = model.get("prompt");
    this.controls = new Controls({
      sampling: model.get("sampling"), length: model.get("max_new_tokens"),
      onchange: this.again,
    });
    this.bars = new Bars({ ontake: (choice) => this.writer.take(choice) });
    this.status = html("p", { id: newId(), class: "status", role: "status" }, "\u00a0");
    this.text = new TokenText({
      label: "The text, token by token: the arrow keys choose one to write on from",
      describedBy: this.status.id,
      onselect: (i) => this.#select(i),
      onpoint: (i) => this.#say(i < 0 ? this.text.selected : i),
    });
    this.writer = new Writer(this);
    this.#layOut();
    this.writer.fill(model.get("written"));
  }

  #layOut() {
    const button = (name, onclick) => html("button", { type: "button", onclick }, name);
    this.button = button("Write", () => this.#press());
    this.button.classList.add("main");
    this.back = button("Back to the prompt", () => this.#begin());
    this.leaveOut = new LeaveOut(this.prompt, () => this.#begin());
    this.back.hidden = true;
    this.before = html("span", { class: "prompt" }, this.prompt.value);
    this.text.element.prepend(this.before);
    this.element = html("div", { class: "llmlib-view playground" }, titleOf(this.model),
      html("div", { class: "ask" }, html("label", { for: this.prompt.id }, "prompt"),
        this.prompt,
        html("div", { class: "buttons" }, this.button, this.back, this.leaveOut.element)),
      this.text.element,
      html("div", { class: "under" }, this.status, legend()),
      html("div", { class: "dials" }, this.controls.element, this.bars.element));
  }

  async open() {
    const source = await sourceOf(this.model, this.model.get("model_name"));
    this.reader = await openModel(source);
    await this.writer.open(this.reader);
    document.addEventListener("llmlib:ask-text", this.#tell);
    this.unwatch = whenVisible(this.element, () => {
      if (prefersStillness()) this.#look();
      else this.writer.write();
    });
  }

  close() {
    this.unwatch?.();
    document.removeEventListener("llmlib:ask-text", this.#tell);
    this.writer.stop();
    this.reader?.close();
  }

  /** What the writer is asked for. */
  get wish() {
    return {
      prompt: this.prompt.value, sampling: this.controls.sampling,
      length: this.controls.length, stop: this.model.get("stop"),
    };
  }

  started() {
    this.button.textContent = "Stop";
    this.back.hidden = this.writer.cursor === 0;
    this.leaveOut.hide();
    this.before.textContent = this.prompt.value;
  }

  ended(summary) {
    this.button.textContent = "Write";
    this.summary = summary;
    this.#say(this.text.selected);
    this.#tell();
    if (this.writer.cursor !== this.writer.place) this.#look();
  }

  #look() {
    this.writer.showBars().catch((error) => this.failed(error));
  }

  async failed(error) {
    this.button.textContent = "Write";
    this.status.textContent = sentence(error);
    await this.leaveOut.offer(this.reader);
  }

  #press() {
    if (this.writer.writing) this.writer.stop();
    else this.writer.write();
  }

  #begin() {
    this.writer.begin();
    this.again();
  }

  #select(i) {
    this.#say(i);
    this.back.hidden = this.writer.cursor === 0;
    if (this.writer.reader && !this.writer.writing) this.#look();
  }

  /** One line under the text: about a token, or about the whole text (i = -1). */
  #say(i) {
    const token = this.text.tokens[i];
    this.status.textContent = token
      ? `${quoted(token.text)} ${token.bits.toFixed(1)} bits`
      : this.summary ?? "\u00a0";
  }

  /** Lets other views on the page follow the text. */
  #tell = () => {
    const text = this.prompt.value + this.text.tokens.map((token) => token.text).join("");
    const detail = { text, model: this.model.get("model_name") };
    document.dispatchEvent(new CustomEvent("llmlib:text", { detail }));
  };
}

function legend() {
  const marks = [0, 2, 4, 6, 8].map((bits) => {
    const mark = html("span", { class: "token" }, String(bits));
    mark.style.setProperty("--depth", depth(bits));
    return mark;
  });
  return html("p", { class: "legend" }, "surprisal in bits: ", ...marks, " or more");
}
