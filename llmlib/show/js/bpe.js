// Byte-level byte-pair encoding, as llmlib/text/bpe.py does it: a pattern cuts a text into
// pieces, a piece is its UTF-8 bytes, and neighbours are merged in the order in which the
// merges were learned.

import { applyMerges } from "./merges.js";
import { pythonRegExp } from "./patterns.js";

const GPT2_PATTERN =
  String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

const LONE_SURROGATE = /\p{Cs}/u;
const CACHED_PIECES = 2 ** 17; // how many pieces the cache holds at most,
const CACHED_LENGTH = 64; // each of at most so many characters

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const strictDecoder = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
const damaged = (why) => new Error(`tokenizer.json is damaged or something else: ${why}.`);

export class BPETokenizer {
  type = "BPE";
  cache = new Map(); // the ids of pieces seen before

  /** From the contents of a tokenizer.json, in the schema of Hugging Face's tokenizers. */
  constructor(data) {
    checkPlain(data);
    const special = (data.added_tokens ?? []).map(({ content, id }) => [content, id]);
    this.special = new Map(special);
    this.specialPattern = alternatives([...this.special.keys()]);
    this.pattern = pythonRegExp(patternOf(data.pre_tokenizer));
    this.readVocab(data.model.vocab);
    this.readMerges(data.model.merges);
  }

  readVocab(vocab) {
    const written = new Map([...Object.entries(vocab), ...this.special]);
    this.table = []; // the bytes of each id
    this.ids = new Map(); // of tokens as they are written in the file
    for (const [token, id] of written) {
      if (!this.special.has(token)) this.ids.set(token, id);
      this.table[id] = this.special.has(token) ? encoder.encode(token) : bytesOf(token);
    }
    if (this.table.length !== written.size || this.table.includes(undefined)) {
      throw damaged("its ids are not 0, 1, 2, …, each once");
    }
    this.byteIds = CHARACTERS.map((character) => this.ids.get(character));
    if (this.byteIds.includes(undefined)) throw damaged("it has no token for some byte");
  }

  readMerges(merges) {
    const pairs = merges.map((each) => (typeof each === "string" ? each.split(" ") : each));
    this.ranks = new Map(); // from a pair of ids to its rank and what it makes
    pairs.forEach(([a, b], rank) => {
      const [first, second, token] = [a, b, a + b].map((written) => this.ids.get(written));
      if (first === undefined || second === undefined || token === undefined) {
        throw damaged(`merge ${rank} uses or makes what is not in the vocabulary`);
      }
      this.ranks.set(this.pair(first, second), { rank, token });
    });
  }

  pair(a, b) {
    return a * this.table.length + b;
  }

  mergeOf = (a, b) => this.ranks.get(this.pair(a, b));

  get vocabSize() {
    return this.table.length;
  }

  get startIds() {
    return this.encode("\n\n");
  }

  encode(text) {
    return this.cut(text).flatMap((part) => this.special.get(part) ?? this.encodePiece(part));
  }

  /** The text as special tokens and the pieces between them. */
  cut(text) {
    const lone = LONE_SURROGATE.exec(text);
    if (lone) {
      const offset = Array.from(text.slice(0, lone.index)).length;
      throw new Error(`The text has half a character at offset ${offset}, a lone surrogate.`);
    }
    const parts = this.specialPattern ? text.split(this.specialPattern) : [text];
    return parts.flatMap((part, i) => {
      if (i % 2) return [part]; // text, special token, text, …
      const pieces = part.match(this.pattern) ?? [];
      if (pieces.join("") === part) return pieces;
      throw new Error("The pattern in tokenizer.json leaves out characters of the text.");
    });
  }

  /** The ids of one piece: its bytes, then the merges. */
  encodePiece(piece) {
    let ids = this.cache.get(piece);
    if (ids === undefined) {
      ids = applyMerges(this.byteIdsOf(piece), this.mergeOf);
      if (this.cache.size >= CACHED_PIECES) this.cache.clear();
      if (piece.length <= CACHED_LENGTH) this.cache.set(piece, ids);
    }
    return ids;
  }

  byteIdsOf(piece) {
    return Array.from(encoder.encode(piece), (byte) => this.byteIds[byte]);
  }

  bytes(id) {
    return this.table[id];
  }

  /** The text of the ids; bytes that are no UTF-8, such as half a character, are U+FFFD. */
  decode(ids) {
    const parts = ids.map((id) => this.table[id]);
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let end = 0;
    for (const part of parts) {
      bytes.set(part, end);
      end += part.length;
    }
    return decoder.decode(bytes);
  }

  /** A token readably: parts of a character as bytes, like \xe2. */
  piece(id) {
    const bytes = this.table[id];
    let text = "";
    for (let i = 0; i < bytes.length; ) {
      const length = [1, 2, 3, 4].find((n) => isCharacter(bytes.subarray(i, i + n)));
      const escape = `\\x${bytes[i].toString(16).padStart(2, "0")}`;
      text += length ? decoder.decode(bytes.subarray(i, i + length)) : escape;
      i += length ?? 1;
    }
    return text;
  }

  readable(text) {
    return text.replace(new RegExp(LONE_SURROGATE, "gu"), "");
  }
}

function isCharacter(bytes) {
  try {
    return [...strictDecoder.decode(bytes)].length === 1;
  } catch {
    return false;
  }
}

/** An Error for a file that asks for more than a pattern and merges of bytes. */
function checkPlain({ model, added_tokens, normalizer, truncation, padding, post_processor }) {
  const asks = { normalizer, truncation, padding, post_processor };
  if (post_processor?.type === "ByteLevel") asks.post_processor = null; // leaves ids alone
  for (const key of ["dropout", "ignore_merges", "byte_fallback",
    "continuing_subword_prefix", "end_of_word_suffix"]) asks[key] = model[key];
  for (const token of added_tokens ?? []) {
    for (const key of ["lstrip", "rstrip", "single_word"]) asks[key] ||= token[key];
  }
  const asked = Object.keys(asks).find((key) => asks[key]);
  if (asked) throw new Error(`tokenizer.json asks for ${asked}, which this page cannot do.`);
}

function patternOf(preTokenizer) {
  const parts = preTokenizer?.pretokenizers ?? [preTokenizer];
  const [split, byteLevel] = parts.length === 2 ? parts : [null, parts[0]];
  const plain = byteLevel?.type === "ByteLevel" && byteLevel.add_prefix_space === false;
  if (plain && split === null && (byteLevel.use_regex ?? true)) return GPT2_PATTERN;
  const pattern = split?.pattern?.Regex;
  const isolated = split?.type === "Split" && split.behavior === "Isolated" && !split.invert;
  if (plain && isolated && byteLevel.use_regex === false && pattern) return pattern;
  throw new Error("tokenizer.json cuts text in a way that this page cannot do.");
}

/** A pattern whose `split` gives text, special token, text, …; null for none. */
function alternatives(tokens) {
  if (tokens.length === 0) return null;
  const escaped = tokens
    .sort((a, b) => b.length - a.length)
    .map((token) => token.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  return new RegExp(`(${escaped.join("|")})`, "u");
}

/** How the file writes each byte: what can be printed of Latin-1 as it is, the others, in
 * order, as the characters from U+0100 on. A space is "Ġ", a newline "Ċ". */
function byteCharacters() {
  let others = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCharCode(printable ? byte : others++);
  });
}

const CHARACTERS = byteCharacters();
const BYTES = new Map(CHARACTERS.map((character, byte) => [character, byte]));

function bytesOf(written) {
  const bytes = Array.from(written, (character) => BYTES.get(character));
  if (bytes.includes(undefined)) throw damaged(`${JSON.stringify(written)} is no token`);
  return Uint8Array.from(bytes);
}
