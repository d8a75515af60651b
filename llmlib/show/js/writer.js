// A text in progress: a prompt, the tokens after it, and the place from which the model
// writes on. That is the selected token's, or else where the tokens end that were taken.

import { quoted } from "./dom.js";
import { depth } from "./tokens.js";

const CHOICES = 10; // bars
const BEFORE = 24; // characters of the text before the bars that their caption repeats
const DRAW = 0x6d2b79f5; // what a seed grows by from one draw to the next

export class Writer {
  writing = false;

  /** `view` is a Playground: its text and bars are written into, its wish is asked for. */
  constructor(view) {
    this.view = view;
    this.text = view.text;
    this.taken = 0; // tokens after the prompt that the reader settled
    this.place = 0; // where the bars stand
    this.turn = 0; // counts the writings: only the latest may touch the page
  }

  async open(reader) {
    this.startIds = (await reader.attention("")).ids;
    this.reader = reader;
  }

  /** Shows a text that is there already: [id, text, bits] of each token. */
  fill(written) {
    written.forEach(([id, text, bits], i) => this.#put(i, { id, text, bits }));
  }

  get cursor() {
    return this.text.selected < 0 ? this.taken : this.text.selected;
  }

  /** Back to the prompt. */
  begin() {
    this.taken = 0;
    this.text.select(-1);
  }

  stop() {
    if (!this.writing) return;
    this.turn += 1;
    this.writing = false;
    this.reader.cancel();
    this.view.ended(`Stopped after ${this.text.tokens.length} tokens`);
  }

  /** Settles on one of the bars' tokens, and writes on from there. */
  take({ id, text, p }) {
    const at = this.place;
    this.taken = at + 1;
    this.text.select(-1);
    this.text.cut(at);
    this.#put(at, { id, text, bits: -Math.log2(p), taken: true });
    this.write();
  }

  /** Writes from the cursor; whoever comes later takes over. */
  async write() {
    if (!this.reader) return; // the view lets it write once it is open
    const turn = ++this.turn;
    const from = this.cursor;
    this.taken = Math.min(this.taken, from);
    this.writing = true;
    this.view.started();
    try {
      await this.showBars(turn);
      const summary = turn === this.turn && await this.#stream(turn, from);
      if (turn === this.turn) this.#end(() => this.view.ended(summary));
    } catch (error) {
      if (turn === this.turn) this.#end(() => this.view.failed(error));
    }
  }

  #end(tell) {
    this.writing = false;
    this.text.settle();
    tell();
  }

  /** Lets the model write into the text, once a frame; returns what there is to say. */
  async #stream(turn, from) {
    const { sampling, length, stop } = this.view.wish;
    const prompt = await this.#ids(from);
    const queue = [];
    let n = from;
    const flush = () => {
      if (turn !== this.turn) return;
      for (const [i, token] of queue.splice(0)) this.#put(i, token);
      this.view.bars.mark(this.text.tokens[from]?.id);
    };
    const began = performance.now();
    const { cropped } = await this.reader.write({
      prompt, stop, maxNewTokens: Math.max(0, length - from),
      sampling: { ...sampling, seed: (sampling.seed + from * DRAW) >>> 0 },
    }, (token) => {
      if (!queue.length) requestAnimationFrame(flush);
      queue.push([n++, token]);
    });
    flush();
    if (turn === this.turn) this.text.cut(n);
    return describe(n - from, performance.now() - began, cropped);
  }

  /** What could stand at the cursor, by the model and by the rules. */
  async showBars(turn = this.turn) {
    const { prompt, sampling } = this.view.wish;
    const at = this.cursor;
    const ids = await this.#ids(at);
    const choices = await this.reader.next({ prompt: ids, sampling, count: CHOICES });
    if (turn !== this.turn || at !== this.cursor || !choices) return;
    const before = prompt + this.text.tokens.slice(0, at).map(({ text }) => text).join("");
    const end = before.length > BEFORE ? `…${before.slice(-BEFORE)}` : before;
    this.place = at;
    const heading = end ? `What can come after ${quoted(end)}` : "How a text begins";
    this.view.bars.show(heading, choices);
    this.view.bars.mark(this.text.tokens[at]?.id);
  }

  /** The ids of the prompt and of the first `n` tokens after it. */
  async #ids(n) {
    const { ids } = await this.reader.encode(this.view.wish.prompt);
    const start = ids.length ? ids : this.startIds;
    return [...start, ...this.text.tokens.slice(0, n).map(({ id }) => id)];
  }

  #put(i, token) {
    this.text.set(i, token, (span, { bits, taken = false }) => {
      span.style.setProperty("--depth", depth(bits).toFixed(3));
      span.classList.toggle("taken", taken);
    });
  }
}

function describe(tokens, milliseconds, cropped) {
  const rate = Math.round((1000 * tokens) / Math.max(milliseconds, 1));
  const crop = cropped ? `; the first ${cropped} of the prompt did not fit the context` : "";
  const speed = `written on this machine at ${rate.toLocaleString("en")} a second`;
  return `${tokens} tokens, ${speed}${crop}`;
}
