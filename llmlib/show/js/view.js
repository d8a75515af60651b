// How a view comes onto its page, and leaves it.

import { html } from "./dom.js";

/**
 * Puts a view ({element, open(), close()}) into `el`; resolves, when it is ready, to what
 * takes it away. On a static page a failure is mount.js's to tell: a stored result is
 * there. In a notebook the sentence takes the view's place.
 */
export async function show(view, el) {
  el.append(view.element);
  try {
    await view.open();
  } catch (error) {
    view.close();
    if (el.closest(".llmlib-widget")) throw error;
    view.element.replaceChildren(html("p", { class: "failure" }, sentence(error)));
  }
  return () => view.close();
}

/** What went wrong, as a sentence: with a capital at the start, where that is not a
 * file's name, and a full stop. */
export function sentence({ message }) {
  const end = /[.!?]$/.test(message) ? "" : ".";
  const first = /^\w+\.\w/.test(message) ? message[0] : message.charAt(0).toUpperCase();
  return first + message.slice(1) + end;
}

/** The line above a view, if it has a title. */
export function titleOf(model) {
  const title = model.get("title");
  return title ? html("p", { class: "title" }, title) : null;
}
