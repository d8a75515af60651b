// Python's patterns, and Python's way to write what cannot be read, in JavaScript.

// What `regex` means by an escape is a Unicode property; JavaScript's own \s and \d differ.
const CLASSES = {
  s: "\\p{White_Space}", S: "\\P{White_Space}", d: "\\p{Nd}", D: "\\P{Nd}",
};

/** A pattern of Python's `regex` that finds all matches; an Error unless it means the same
 * here. */
export function pythonRegExp(pattern) {
  const unsupported = (why) =>
    new Error(`tokenizer.json cuts text by a pattern this page cannot use: ${why}.`);
  const translate = (part) => part.replace(/\\(.)/gsu, (escape, character) => {
    if (Object.hasOwn(CLASSES, character)) return CLASSES[character];
    const other = /[a-z0-9]/iu.test(character) && !"pPnrtfv".includes(character);
    if (other) throw unsupported(escape);
    return escape;
  });
  // Outside of brackets, a dot is anything but a line feed; JavaScript's is narrower.
  const translated = pattern.replace(/\\.|\[(?:\\.|[^\]\\])*\]|\./gsu, (part) =>
    part === "." ? "[^\\n]" : translate(part));
  try {
    return new RegExp(translated, "gu");
  } catch {
    throw unsupported(pattern);
  }
}

/** "U+00E9" for é. */
export const codePoint = (character) =>
  `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
