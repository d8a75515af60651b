// The merges of byte-pair encoding applied to one piece, as llmlib/text/merges.py does it.

const NONE = -1; // where a token was swallowed by the one before it

/** What `mergeOf(a, b)` ({rank, token}, or undefined for none) leaves of the tokens: the
 * pair of lowest rank is merged first, and of equals the leftmost.
 *
 * O(n log n): a heap of ranks and positions, and a linked list of the tokens that remain.
 */
export function applyMerges(tokens, mergeOf) {
  tokens = tokens.slice();
  const end = tokens.length;
  const following = tokens.map((_, i) => i + 1), previous = tokens.map((_, i) => i - 1);
  const heap = new Heap(); // of rank · end + position
  const offer = (i, j) => {
    const merge = mergeOf(tokens[i], tokens[j]);
    if (merge) heap.push(merge.rank * end + i);
  };
  for (let i = 0; i + 1 < end; i++) offer(i, i + 1);
  for (let key = heap.pop(); key !== undefined; key = heap.pop()) {
    const i = key % end, j = following[i];
    const merge = j < end ? mergeOf(tokens[i], tokens[j]) : undefined;
    if (merge?.rank !== (key - i) / end) continue; // one of the two is merged already
    tokens[i] = merge.token;
    tokens[j] = NONE;
    following[i] = following[j];
    if (following[i] < end) {
      previous[following[i]] = i;
      offer(i, following[i]);
    }
    if (previous[i] >= 0) offer(previous[i], i);
  }
  return tokens.filter((token) => token !== NONE);
}

/** Numbers, of which the smallest comes out first. */
class Heap {
  numbers = [];

  push(number) {
    let at = this.numbers.push(number) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.numbers[parent] <= number) break;
      this.numbers[at] = this.numbers[parent];
      at = parent;
    }
    this.numbers[at] = number;
  }

  pop() {
    const smallest = this.numbers[0], number = this.numbers.pop();
    const n = this.numbers.length;
    if (n === 0) return smallest;
    let at = 0;
    for (let child = 1; child < n; child = 2 * at + 1) {
      if (child + 1 < n && this.numbers[child + 1] < this.numbers[child]) child++;
      if (this.numbers[child] >= number) break;
      this.numbers[at] = this.numbers[child];
      at = child;
    }
    this.numbers[at] = number;
    return smallest;
  }
}
