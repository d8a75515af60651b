// Elements of a view. Whatever comes from outside (prompts, tokens, titles) reaches the
// page as a text node or an attribute's value, never as markup.

const SVG = "http://www.w3.org/2000/svg";
const SIGNS = { " ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍" };

/** An HTML element: attributes by name, `on…` for listeners, then its children. */
export function html(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** A token as a label: a space as ·, a newline as ⏎, other invisible signs escaped. */
export function visible(piece) {
  const sign = (c) => SIGNS[c] ?? (/[\p{C}\p{Z}]/u.test(c) ? escaped(c) : c);
  return Array.from(piece, sign).join("") || "(part of a character)";
}

/** As Python writes what cannot be printed: \x08, \u200b, \U000e0001. */
function escaped(character) {
  const code = character.codePointAt(0);
  const [letter, digits] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
  return `\\${letter}${code.toString(16).padStart(digits, "0")}`;
}

/** A sentence's quotation of a token: “·fox”. */
export const quoted = (piece) => `“${visible(piece)}”`;

let ids = 0;

/** An id that no other element has, also where several copies of this code run. */
export const newId = () => `llmlib-${Math.random().toString(36).slice(2)}-${ids++}`;

/** Calls `action` once, `wait` ms after the last of a burst of calls. */
export function debounced(action, wait) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), wait);
  };
}

/**
 * A labelled slider over `stops`, which need not lie evenly; `show` writes one of them.
 * A value that is none of them is added. `slider.value` is the value, not the place.
 */
export function slider({ label, stops, value, show = String, oninput }) {
  const values = withValue(stops, value);
  const input = html("input", {
    type: "range", id: newId(), min: 0, max: values.length - 1, step: 1,
    value: values.indexOf(value),
  });
  const shown = html("span", { class: "value", "aria-hidden": "true" });
  const element = html("div", { class: "slider" },
    html("label", { for: input.id }, label), shown, input);
  const chosen = () => values[Number(input.value)];
  const update = () => {
    shown.textContent = show(chosen());
    input.setAttribute("aria-valuetext", shown.textContent);
  };
  input.addEventListener("input", () => {
    update();
    oninput(chosen());
  });
  update();
  return element;
}

/** The stops with the value among them, where it belongs; null (off) stays at its end. */
function withValue(stops, value) {
  if (stops.includes(value)) return stops;
  const numbers = [...stops.filter((x) => x !== null), value].sort((a, b) => a - b);
  if (!stops.includes(null)) return numbers;
  return stops[0] === null ? [null, ...numbers] : [...numbers, null];
}

/** first, first + step, ..., last, without rounding errors. */
export function range(first, last, step) {
  const n = Math.round((last - first) / step);
  return Array.from({ length: n + 1 }, (_, i) => Number((first + i * step).toFixed(6)));
}

/** Whether the reader asked for pages that keep still. */
export const prefersStillness = () =>
  matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Calls `action` once, as soon as the element is in sight (or nearer than `margin`). */
export function whenVisible(element, action, margin = "0px") {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    action();
  }, { rootMargin: margin });
  observer.observe(element);
  return () => observer.disconnect();
}

/** A percentage with as many digits as it is worth. */
export function percent(share) {
  if (share > 0 && share < 0.001) return "<0.1%";
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)}%`;
}

/**
 * Where an arrow key leads from place `at` (-1: nowhere yet) among `count`; null for any
 * other key. A key that leads somewhere does nothing else.
 */
export function arrowKey(event, at, count) {
  if (!count || event.ctrlKey || event.metaKey || event.altKey) return null;
  const next = {
    ArrowRight: at + 1, ArrowDown: at + 1,
    ArrowLeft: at < 0 ? count : at - 1, ArrowUp: at < 0 ? count : at - 1,
    Home: 0, End: count,
  }[event.key];
  if (next === undefined) return null;
  event.preventDefault();
  return Math.min(Math.max(next, 0), count - 1);
}
