// A model as the views use it: it runs in a Web Worker, so that the page never stutters.
// Whatever goes wrong is an Error whose message is a sentence for the reader.

const WORKER_SOURCE = ""; // bundle.py puts worker.js here, and all that it imports

/** Opens a model: {url}, the whole address of its folder, with a slash at the end, or
 * {config, tokenizer, weights}, the contents of its files, the weights an ArrayBuffer. */
export async function openModel(source) {
  const reader = new Reader();
  try {
    return await reader.open(source);
  } catch (error) {
    reader.close();
    throw error;
  }
}

class Reader {
  #calls = new Map(); // those without an answer yet: {resolve, reject, onPiece} by number
  #number = 0;
  #writing = null; // the number of the writing in progress
  #address = URL.createObjectURL(new Blob([WORKER_SOURCE], { type: "text/javascript" }));
  #worker = new Worker(this.#address);

  async open(source) {
    this.#worker.onmessage = ({ data }) => this.#hear(data);
    this.#worker.onerror = (event) => this.#fail(event.message);
    await this.#ask("open", source);
    return this;
  }

  /** Writes on from a prompt, a text or ids ("" is the beginning of a text). `onPiece` gets
   * each token, {id, text, bits}: the characters it completes, and -log2 p(id) under the
   * model itself. A stop string ends the text before it.
   *
   * Resolves to {finished, cropped}: false if anything else wanted the model before the
   * end; and how many ids of the prompt were too many for the context. */
  write({ prompt, maxNewTokens, sampling, stop }, onPiece) {
    this.#stopWriting();
    const answer = this.#ask("write", { prompt, maxNewTokens, sampling, stop }, onPiece);
    this.#writing = this.#number;
    return answer;
  }

  /** Ends the writing in progress. */
  cancel() {
    if (this.#writing !== null) this.#ask("cancel");
    this.#stopWriting();
  }

  /** The likeliest tokens after a prompt, [{id, text, piece, p, q}]: what each would add to
   * it, the model's own probability, and what the sampling makes of it. Null if anything else
   * wanted the model before. */
  next({ prompt, sampling, count }) {
    this.#stopWriting();
    return this.#ask("next", { prompt, sampling, count });
  }

  /** What each head looks at in the first `count` tokens of a text after the tokenizer's
   * start: {ids, pieces, layers, heads, length, weights, more}, the weights a Float32Array
   * [layer][head][query][key]; and whether the text has more tokens. */
  attention(text, count) {
    this.#stopWriting();
    return this.#ask("attention", { text, count });
  }

  /** A text as tokens: {ids, pieces}. */
  encode(text) {
    return this.#ask("encode", { text });
  }

  /** The text without the characters that the tokenizer cannot encode. */
  readable(text) {
    return this.#ask("readable", { text });
  }

  /** Lets the model go. A writing in progress ends; other answers do not come any more. */
  close() {
    this.#stopWriting();
    this.#worker.terminate();
    URL.revokeObjectURL(this.#address);
  }

  #ask(call, values, onPiece) {
    const number = ++this.#number;
    return new Promise((resolve, reject) => {
      this.#calls.set(number, { resolve, reject, onPiece });
      this.#worker.postMessage({ number, call, values });
    });
  }

  #hear({ number, pieces, result, error }) {
    const call = this.#calls.get(number);
    if (!call) return; // of a writing that was stopped
    if (pieces) {
      for (const piece of pieces) if (this.#calls.has(number)) call.onPiece(piece);
      return;
    }
    this.#calls.delete(number);
    if (number === this.#writing) this.#writing = null;
    if (error === undefined) call.resolve(result);
    else call.reject(new Error(error));
  }

  #stopWriting() {
    this.#calls.get(this.#writing)?.resolve({ finished: false });
    this.#calls.delete(this.#writing);
    this.#writing = null;
  }

  #fail(reason = "it gives no reason") {
    const error = new Error(`This browser cannot run the model: ${reason}.`);
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
  }
}
