// The files of a model, from beside the page. Every fault is an Error whose message is a
// sentence for the reader.

/** The bytes of a file in the folder with this address, which ends with a slash. */
export async function fetchFile(url, name) {
  let answer;
  try {
    answer = await fetch(url + name);
    if (answer.ok) return await answer.arrayBuffer();
  } catch {
    throw new Error(`${name} did not come from ${url}: there is no connection.`);
  }
  throw new Error(`${name} is not at ${url}: the server answers ${answer.status}.`);
}

/** The JSON in the bytes of the file of this name. */
export function parse(name, bytes) {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new Error(`${name} is damaged: it is no JSON.`);
  }
}
