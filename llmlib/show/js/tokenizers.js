// Text to ids and back, as llmlib/text/tokenizers.py does it: by character, by word, or
// (in bpe.js) by pairs of bytes, as tokenizer.json says.
//
// Every tokenizer has `type`, `vocabSize`, `startIds` (what a text starts after),
// `encode(text)`, `decode(ids)`, `bytes(id)`, `piece(id)` (what a token is, readably) and
// `readable(text)` (the text without what it cannot encode).

import { BPETokenizer } from "./bpe.js";
import { codePoint, pythonRegExp } from "./patterns.js";

const WORD_PATTERN =
  String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s`;

/** The tokenizer in the contents of a tokenizer.json; an Error if it is none. */
export function makeTokenizer(data) {
  const types = { Char: CharTokenizer, Word: WordTokenizer, BPE: BPETokenizer };
  const type = data?.model?.type;
  if (!Object.hasOwn(types, type ?? "")) {
    const found = JSON.stringify(type);
    throw new Error(`tokenizer.json is of another format: its type is ${found}.`);
  }
  try {
    return new types[type](data);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // which means that a part is missing
    throw new Error("tokenizer.json is damaged: a part of it is missing or something else.");
  }
}

/** What characters and words share: a table of pieces. */
class TableTokenizer {
  constructor(data) {
    this.type = data.model.type;
    this.ids = new Map(Object.entries(data.model.vocab ?? {}));
    this.table = [];
    for (const [piece, id] of this.ids) this.table[id] = piece;
    const whole = this.table.length === this.ids.size && this.ids.size > 0;
    if (!whole || this.table.includes(undefined)) {
      throw new Error("tokenizer.json is damaged: its ids are not 0, 1, 2, …, each once.");
    }
  }

  get vocabSize() {
    return this.table.length;
  }

  get startIds() {
    return this.ids.has("\n") ? this.encode("\n\n") : [0];
  }

  decode(ids) {
    return ids.map((id) => this.table[id]).join("");
  }

  bytes(id) {
    return new TextEncoder().encode(this.table[id]);
  }

  piece(id) {
    return this.table[id];
  }
}

/** One id a character, and none for unknown ones. */
class CharTokenizer extends TableTokenizer {
  encode(text) {
    return Array.from(text, (character, offset) => {
      const id = this.ids.get(character);
      if (id === undefined) throw unknown(character, offset, this.vocabSize);
      return id;
    });
  }

  readable(text) {
    return Array.from(text).filter((character) => this.ids.has(character)).join("");
  }
}

function unknown(character, offset, known) {
  const name = `${JSON.stringify(character)} (${codePoint(character)})`;
  return new Error(
    `The character ${name} at offset ${offset} is unknown to this model, ` +
      `which knows ${known} characters.`,
  );
}

/** One id a word, and id 0 for all words unknown. */
class WordTokenizer extends TableTokenizer {
  encode(text) {
    const words = text.match(this.pattern) ?? [];
    return words.map((word) => this.ids.get(word) ?? 0);
  }

  pattern = pythonRegExp(WORD_PATTERN);

  readable(text) {
    return text;
  }
}
