// The static page: finds each widget's place, reads its values, and puts its view there.
// Until a view is ready, and where it cannot be, the stored result stays.

import { html, whenVisible } from "./dom.js";
import { sentence } from "./view.js";

const NEAR = "400px"; // how far from the screen a view begins to load

/** Mounts all widgets of the page; `views` holds a `render` by the name of each view. */
export function mountAll(views, root = document) {
  for (const place of root.querySelectorAll(".llmlib-widget")) {
    whenVisible(place, () => mount(place, views), NEAR);
  }
}

async function mount(place, views) {
  const stored = place.querySelector(".stored");
  const el = html("div", { class: "alive", hidden: true });
  place.append(el);
  try {
    const values = JSON.parse(place.querySelector("script").textContent);
    await views[place.dataset.view]({ model: { get: (name) => values[name] }, el });
    el.hidden = false;
    stored.hidden = true;
  } catch (error) {
    el.remove();
    stored.prepend(html("p", { class: "failure", role: "status" },
      `${sentence(error)} What stands here was stored when the page was made.`));
  }
  place.dataset.state = el.isConnected ? "ready" : "failed";
}
