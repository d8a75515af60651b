"""The merges of byte-pair encoding: how they are learned, and how they are applied.

The textbook way to learn them counts all pairs again after each merge. Here the counts
are kept, and only the neighbours of what was merged change. The merges are the same.
"""

import heapq
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

Pair = tuple[int, int]

NONE = -1  # between two words, and where a token was swallowed by the one before it


def learn_merges(words: Mapping[str, int], n_merges: int) -> list[Pair]:
    """The pairs that BPE merges, in order: n_merges, or fewer if no pairs are left.

    `words` are the distinct pieces of a text with their counts, in the order in which
    they first occur. Tokens 0 to 255 are bytes; merge i makes token 256 + i. Each step
    merges the most frequent pair of neighbours (overlapping ones count too), and of
    equally frequent pairs the one that occurs first (Gage 1994; Sennrich et al. 2016).

    Once a pair exists, its count only falls and its first position only moves right. So
    the heap may hold outdated entries: they come up too early, never too late, and go
    back with their true values.
    """
    row = _Row(words)
    heap = [
        (-count, row.positions[pair][0], pair, 0) for pair, count in row.counts.items()
    ]
    heapq.heapify(heap)
    merges: list[Pair] = []
    while heap and len(merges) < n_merges:
        negative_count, first, pair, k = heapq.heappop(heap)
        if row.counts[pair] == 0:
            continue
        k = row.next_valid(pair, k)
        true_values = -row.counts[pair], row.positions[pair][k]
        if (negative_count, first) != true_values:
            heapq.heappush(heap, (*true_values, pair, k))
            continue
        for made in row.merge(pair, token=256 + len(merges)):
            heapq.heappush(heap, (-row.counts[made], row.positions[made][0], made, 0))
        merges.append(pair)
    return merges


class _Row:
    """All words as one row of tokens, with each pair's count and ascending positions.

    A linked list in arrays. The positions of a pair may be outdated (the pair is there
    no longer) but never incomplete.
    """

    def __init__(self, words: Mapping[str, int]) -> None:
        self.tokens, self.weights = [NONE], [0]
        for word, count in words.items():
            encoded = word.encode("utf-8")
            self.tokens += [*encoded, NONE]
            self.weights += [count] * (len(encoded) + 1)
        n = len(self.tokens)
        self.following, self.previous = list(range(1, n + 1)), list(range(-1, n - 1))
        self.counts: defaultdict[Pair, int] = defaultdict(int)
        self.positions: defaultdict[Pair, list[int]] = defaultdict(list)
        for i, pair in enumerate(pairwise(self.tokens)):
            if NONE not in pair:
                self.counts[pair] += self.weights[i]
                self.positions[pair].append(i)

    def next_valid(self, pair: Pair, k: int) -> int:
        """The first index from k on into the positions of `pair` where it still is."""
        tokens, following, positions = self.tokens, self.following, self.positions[pair]
        while (tokens[positions[k]], tokens[following[positions[k]]]) != pair:
            k += 1
        return k

    def merge(self, pair: Pair, token: int) -> Collection[Pair]:
        """Put `token` wherever `pair` is, from left to right; the pairs that it makes."""
        a, b = pair
        tokens, following, previous = self.tokens, self.following, self.previous
        counts, made = self.counts, defaultdict[Pair, list[int]](list)
        for i in self.positions.pop(pair):
            j = following[i]
            if tokens[i] != a or tokens[j] != b:
                continue
            before, after, weight = previous[i], following[j], self.weights[i]
            tokens[i], tokens[j] = token, NONE
            following[i], previous[after] = after, i
            if (left := tokens[before]) != NONE:
                counts[left, a] -= weight
                counts[left, token] += weight
                made[left, token].append(before)
            if (right := tokens[after]) != NONE:
                counts[b, right] -= weight
                counts[token, right] += weight
                made[token, right].append(i)
        self.positions.update(made)
        return made


def apply_merges(
    tokens: Sequence[int], merges: Mapping[Pair, tuple[int, int]]
) -> list[int]:
    """What `merges`, each pair with its rank and the token that it makes, leave of
    `tokens`: the pair of lowest rank is merged first, and of equals the leftmost.

    O(n log n): a heap of (rank, position) and a linked list of the tokens that remain.
    """
    tokens, end = list(tokens), len(tokens)
    found = enumerate(map(merges.get, pairwise(tokens)))
    heap = [(merge[0], i) for i, merge in found if merge]
    heapq.heapify(heap)
    following, previous = list(range(1, end + 1)), list(range(-1, end - 1))
    while heap:
        rank, i = heapq.heappop(heap)
        j = following[i]
        merge = merges.get((tokens[i], tokens[j])) if j < end else None
        if merge is None or merge[0] != rank:
            continue  # outdated: one of the two was merged with its other neighbour
        before, after = previous[i], following[j]
        tokens[i], tokens[j] = merge[1], NONE
        following[i] = after
        if before >= 0 and (merge := merges.get((tokens[before], tokens[i]))):
            heapq.heappush(heap, (merge[0], before))
        if after < end:
            previous[after] = i
            if merge := merges.get((tokens[i], tokens[after])):
                heapq.heappush(heap, (merge[0], i))
    return [token for token in tokens if token != NONE]
