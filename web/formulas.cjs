// Renders formulas with the KaTeX named by the first argument: a list of
// {tex, display} on stdin becomes a list of {html} or {error} on stdout.
const katex = require(process.argv[2]);

function rendered({ tex, display }) {
  try {
    return { html: katex.renderToString(tex, { displayMode: display, strict: false }) };
  } catch (error) {
    return { error: error.message };
  }
}

const formulas = JSON.parse(require("fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(formulas.map(rendered)));
