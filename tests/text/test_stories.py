"""The story world: exact probabilities, clean prose, dependences where we say."""

import re
from bisect import bisect
from collections import Counter
from collections.abc import Iterator
from math import fsum, inf, log2
from statistics import mean

import pytest

from llmlib.text.stories import Dependence, StoryGrammar

TOY = """
Words outside bullets and tables are commentary.

### hero = cast
### friend = cast
### thing = things@hero.job

### cast
| name | she | job |
|---|---|---|
| Ann | she | cook |
| Bob | he | smith |
| Ben | he | smith |

### things@cook
- pan
- (2) pot
### things@smith
- nail

### story
- {hero} met {friend}. {hero.She!pronoun} [lost/had
  lost] the {thing}.
- (2) {look@hero.job}, {hero}!

### look@cook
- Stir
### look@smith
- Hit
- (3) Hit it
"""


def toy_stories() -> Counter[str]:
    """Every story of the toy grammar with its probability, worked out by hand."""
    people = {
        "Ann": ("She", {"pan": 1 / 3, "pot": 2 / 3}),
        "Bob": ("He", {"nail": 1}),
        "Ben": ("He", {"nail": 1}),
    }
    stories: Counter[str] = Counter()
    for hero, (she, things) in people.items():
        for friend in people.keys() - {hero}:
            for verb in ("lost", "had lost"):
                for thing, share in things.items():
                    stories[f"{hero} met {friend}. {she} {verb} the {thing}.\n\n"] += (
                        share / 3 / 3 / 2 / 2
                    )
        looks = {"Stir": 1} if hero == "Ann" else {"Hit": 1 / 4, "Hit it": 3 / 4}
        for look, share in looks.items():
            stories[f"{look}, {hero}!\n\n"] += share * 2 / 3 / 3
    return stories


@pytest.fixture(scope="module")
def toy() -> StoryGrammar:
    return StoryGrammar(TOY)


@pytest.fixture(scope="module")
def village() -> StoryGrammar:
    return StoryGrammar()


@pytest.fixture(scope="module")
def stories(village: StoryGrammar) -> list[str]:
    return village.sample(2000, seed=1).split("\n\n")[:-1]


# -- the probabilities are exact --


def test_all_stories_of_a_cut_down_grammar_sum_to_one(toy: StoryGrammar) -> None:
    expected = toy_stories()
    assert fsum(expected.values()) == pytest.approx(1)
    for story, probability in expected.items():
        assert toy.log2_prob(story) == pytest.approx(log2(probability), abs=1e-12)


def test_sampled_frequencies_match_the_probabilities(toy: StoryGrammar) -> None:
    n, expected = 20_000, toy_stories()
    counts = Counter(
        story + "\n\n" for story in toy.sample(n, seed=3).split("\n\n")[:-1]
    )
    assert counts.keys() == expected.keys()
    chi_square = sum(
        (counts[story] - n * p) ** 2 / (n * p) for story, p in expected.items()
    )
    freedom = len(expected) - 1
    assert (
        chi_square < freedom + 4 * (2 * freedom) ** 0.5
    )  # four standard deviations of its distribution


def test_a_stream_multiplies_its_stories(toy: StoryGrammar) -> None:
    (one, p), (two, q) = list(toy_stories().items())[:2]
    assert toy.log2_prob(one + two + one) == pytest.approx(log2(p * q * p))


def test_next_characters_share_the_probability_of_the_beginning(
    toy: StoryGrammar, village: StoryGrammar
) -> None:
    for grammar, text in (
        (toy, toy.sample(4, seed=0)),
        (village, village.sample(1, seed=5)),
    ):
        alphabet = sorted(set(grammar.sample(300, seed=1)))
        for end in range(0, len(text), 1 if grammar is toy else 11):
            before = grammar.log2_prob(text[:end])
            after = [
                grammar.log2_prob(text[:end] + character) for character in alphabet
            ]
            assert fsum(2 ** (bits - before) for bits in after) == pytest.approx(
                1, abs=1e-9
            )
            assert max(after) <= before + 1e-9


def test_surprisals_are_differences_of_log2_prob_and_sum_to_it(
    village: StoryGrammar,
) -> None:
    text = village.sample(3, seed=8)[:-200]
    bits = village.surprisal(text)
    assert len(bits) == len(text)
    assert min(bits) >= 0
    assert fsum(bits) == pytest.approx(-village.log2_prob(text))
    for end in range(0, len(text), 97):
        assert village.log2_prob(text[:end]) == pytest.approx(
            -fsum(bits[:end]), abs=1e-9
        )


def drawn_stories(
    grammar: StoryGrammar, n: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, float]]:
    """Stories, each with log2 P of all choices that were drawn for it: of how wide the
    parts of [0, 1) are on which its random numbers fell.
    """
    widths: list[float] = []

    def noting(borders: list[float], number: float) -> int:
        drawn = bisect(borders, number)
        edges = [0.0, *borders, 1.0]
        widths.append(edges[drawn + 1] - edges[drawn])
        return drawn

    monkeypatch.setattr("llmlib.text.stories.bisect", noting)
    for seed in range(n):
        widths.clear()
        yield grammar.sample(1, seed), fsum(map(log2, widths))


def test_log2_prob_is_at_least_that_of_the_choices_drawn(
    village: StoryGrammar, monkeypatch: pytest.MonkeyPatch
) -> None:
    equal = 0
    for story, drawn in drawn_stories(village, 150, monkeypatch):
        exact = village.log2_prob(story)
        assert drawn - 1e-9 <= exact < 0
        equal += exact == pytest.approx(drawn)
    assert 10 < equal < 150  # some stories can be told in one way only, some in several


def test_log2_prob_equals_that_of_the_choices_where_no_text_has_two_derivations(
    toy: StoryGrammar, monkeypatch: pytest.MonkeyPatch
) -> None:
    for story, drawn in drawn_stories(toy, 200, monkeypatch):
        assert toy.log2_prob(story) == pytest.approx(drawn)


def test_the_floor_is_what_the_bits_of_all_stories_make_per_character(
    toy: StoryGrammar,
) -> None:
    (one, p), (two, q) = list(toy_stories().items())[:2]
    floor = -log2(p * q) / len(one + two)
    assert toy.bits_per_character([one, two]) == pytest.approx(floor)
    assert toy.bits_per_character(one) == pytest.approx(-log2(p) / len(one))
    assert toy.bits_per_character([one, "X"]) == inf
    for nothing in ("", [], ["", ""]):
        with pytest.raises(ValueError, match="no characters"):
            toy.bits_per_character(nothing)


def test_two_derivations_of_one_text_add_up() -> None:
    grammar = StoryGrammar("### story\n- [a/ab][bc/c]\n- (2) abc\n")
    assert 2 ** grammar.log2_prob("abc\n\n") == pytest.approx(
        1 / 3 * (1 / 4 + 1 / 4) + 2 / 3
    )


def test_a_hypothesis_that_the_text_breaks_off_still_counts() -> None:
    grammar = StoryGrammar("### story\n- [abcd/ab][x/c]\n")
    assert 2 ** grammar.log2_prob("abc") == pytest.approx(1 / 2 + 1 / 2 * 1 / 2)
    assert 2 ** grammar.log2_prob("abcx") == 0
    assert 2 ** grammar.log2_prob("abcdc\n\nabc") == pytest.approx(1 / 4 * 3 / 4)


def test_a_hypothesis_that_breaks_off_where_another_stands_keeps_its_share() -> None:
    grammar = StoryGrammar("### story\n- [ab/a][x/c]\n")
    assert 2 ** grammar.log2_prob("a") == 1
    assert 2 ** grammar.log2_prob("ac") == pytest.approx(1 / 4)
    assert 2 ** grammar.log2_prob("abc\n\nax\n\n") == pytest.approx(1 / 16)


def test_a_text_that_the_grammar_cannot_write(village: StoryGrammar) -> None:
    story = village.sample(1, seed=2)
    assert village.log2_prob("") == 0
    for text in ("x", "\n", story[:50] + "#", story + "\n", story[:-1] + " "):
        assert village.log2_prob(text) == -inf
    bits = village.surprisal(story[:50] + "#" + story[50:])
    assert max(bits[:50]) < inf
    assert set(bits[50:]) == {inf}


def test_long_texts_do_not_underflow(village: StoryGrammar) -> None:
    text = village.sample(60, seed=6)
    assert (
        -inf < village.log2_prob(text) < -1100
    )  # a float64 holds nothing below 2 ** -1074


# -- sampling --


def test_the_seed_decides_and_fewer_stories_begin_more(village: StoryGrammar) -> None:
    assert village.sample(20, seed=7) == StoryGrammar().sample(20, seed=7)
    assert village.sample(20, seed=7) != village.sample(20, seed=8)
    assert village.sample(20, seed=7).startswith(village.sample(5, seed=7))
    assert village.sample(0, seed=7) == ""


def test_every_sampled_story_has_a_probability(village: StoryGrammar) -> None:
    assert village.log2_prob(village.sample(300, seed=9)) > -inf


@pytest.mark.parametrize(
    ("n", "error"), [(-1, ValueError), (1.5, TypeError), ("3", TypeError)]
)
def test_how_many_stories(
    village: StoryGrammar, n: object, error: type[Exception]
) -> None:
    with pytest.raises(error, match="n_stories"):
        village.sample(n, seed=0)  # type: ignore[arg-type]


def test_text_must_be_a_string(village: StoryGrammar) -> None:
    with pytest.raises(TypeError, match="text must be a str, got a list"):
        village.surprisal(["a"])  # type: ignore[arg-type]


# -- the prose --


def test_the_size_of_the_world(stories: list[str]) -> None:
    lengths = [len(story.split()) for story in stories]
    assert min(lengths) >= 60
    assert max(lengths) <= 200
    assert 90 <= mean(lengths) <= 125
    assert len(set(re.findall(r"[a-z]+", " ".join(stories).lower()))) >= 600
    assert len(set(stories)) == len(stories)


def test_the_entropy_is_rich_but_learnable(
    village: StoryGrammar, stories: list[str]
) -> None:
    text = "\n\n".join(stories[:400]) + "\n\n"
    assert 0.25 < village.bits_per_character(text) < 0.6


SLIPS = {
    "two spaces or a space at the end": r"  | $|^ | \n|\n",
    "a before a vowel, an before a consonant": r"\b[Aa] [aeiouAEIOU]|\b[Aa]n (?!hour)[^aeiou]",
    "a doubled word": r"\b(\w+) \1\b",
    "a space before a mark, or two marks": r" [,.;:!?]|[,.;:!?][,.;:!?]",
    "a sentence with a small letter": r"[.!?] [a-z]|^[a-z]",
    "a new quotation with a small letter after a full stop": r'\. "[a-z]',
    "a quotation that ends without a mark": r'[A-Za-z]"',
    "a letter stuck to a quotation": r'"\w+"\w|[a-z]"[A-Za-z]',
    "a left-over of the notation": r"[^A-Za-z .,:!?\"']",
    "one of several": r"\b[Oo]ne [a-z]+s\b(?<!was)",
    "several of one": r"\b(two|three|four|five|six|seven|eight|nine) \w+ (cake|pie|tart|bun)\b",
    "a plural with was": r"\b(two|three|four|five) \w+ \w+s was\b",
}


@pytest.mark.parametrize("slip", SLIPS)
def test_no_slips(stories: list[str], slip: str) -> None:
    found = [
        match.group() for story in stories if (match := re.search(SLIPS[slip], story))
    ]
    assert not found, found[:5]


def test_quotations_are_balanced(stories: list[str]) -> None:
    for story in stories:
        quoted = story.split('"')[1::2]
        assert story.count('"') % 2 == 0
        assert all(
            re.match(r"([A-Z]|but |and ).*[.,!?]$", words) for words in quoted
        ), quoted


# -- the dependences: what decides, and where --

# Of each kind: the words to exchange before the place, and with them what comes there.
EXCHANGES = {
    "name": {
        "Rosa": "Juno",
        "ferrywoman": "goat",
        "in a house on stilts": "on the steepest street",
    },
    "pronoun": {
        "Juno": "Pip",
        "goat": "mouse",
        "on the steepest street": "in a teapot without a lid",
        "she": "he",
    },
    "object": {"striped": "golden"},
    "promise": {
        "the bell rings six": "the geese go to bed",
        "the bell rang six": "the geese went to bed",
    },
    "quotation": {"turnip": "noodle", "Turnip": "Noodle"},
    "answer": {
        "What has two hands but cannot clap": "What follows you home without a sound",
        "heard the wall. Tick, it said, and tock": "saw somebody long and thin on the path",
        "a clock": "a shadow",
        "A clock": "A shadow",
    },
    "count": {"nine": "eight", "eight": "seven", "seven": "six"},
    "elder": {
        "Aunt Tansy the toad": "Granny Plum",
        "Aunt Tansy": "Granny Plum",
        "On a mossy stone": "On the bench by the well",
    },
}


def exchange(text: str, words: dict[str, str]) -> str:
    longest_first = sorted(words, key=len, reverse=True)
    return re.sub(
        rf"\b({'|'.join(longest_first)})\b", lambda found: words[found.group()], text
    )


def first_exchangeable(village: StoryGrammar, kind: str) -> tuple[str, Dependence]:
    """The first story that has the words to exchange, and none that they become."""
    old, new = EXCHANGES[kind].keys(), EXCHANGES[kind].values() - EXCHANGES[kind].keys()
    for seed in range(20_000):
        story, found = village.annotated(seed)
        for place in found:
            before, value = story[: place.start], story[place.start : place.end]
            if (
                place.kind == kind
                and value in old
                and exchange(before, EXCHANGES[kind]) != before
            ):
                if (
                    kind == "count"
                    and len(re.findall("nine|eight|seven|six", before)) > 1
                ):
                    continue  # a number that means something else
                if not any(word in before for word in new):
                    return story, place
    raise AssertionError(f"no story with {kind}")


@pytest.mark.parametrize("kind", EXCHANGES)
def test_the_words_before_decide_the_word_that_comes(
    village: StoryGrammar, kind: str
) -> None:
    story, place = first_exchangeable(village, kind)
    before, value = story[: place.start], story[place.start : place.end]
    other_before, other_value = (
        exchange(before, EXCHANGES[kind]),
        exchange(value, EXCHANGES[kind]),
    )
    assert other_before != before
    assert village.log2_prob(before + value) > -inf
    assert village.log2_prob(other_before + other_value) > -inf
    assert village.log2_prob(before + other_value) == -inf
    assert village.log2_prob(other_before + value) == -inf


def test_dependences_are_long_and_of_many_kinds(village: StoryGrammar) -> None:
    kinds: Counter[str] = Counter()
    for seed in range(300):
        story, found = village.annotated(seed)
        assert story == village.sample(1, seed)
        for place in found:
            assert story[place.start : place.end] in place.candidates
            assert len(place.candidates) > 1
            assert place.distance >= 40
            kinds[place.kind] += 1
    assert kinds.keys() == EXCHANGES.keys()
    assert min(kinds.values()) >= 20


def test_only_the_right_candidate_is_possible(village: StoryGrammar) -> None:
    for seed in range(40):
        story, found = village.annotated(seed)
        for place in found:
            for candidate in place.candidates:
                possible = village.log2_prob(story[: place.start] + candidate) > -inf
                assert possible == story.startswith(candidate, place.start), (
                    story,
                    place,
                    candidate,
                )


def test_a_nearer_dependence_counts_when_asked_for(toy: StoryGrammar) -> None:
    seed = next(
        seed for seed in range(50) if toy.sample(1, seed).startswith("Ann met Bob. She")
    )
    _, (place,) = toy.annotated(seed, min_distance=5)
    assert place == Dependence("pronoun", 13, 16, ("She", "He"), ((0, 3),))
    assert place.distance == 10
    assert toy.annotated(seed)[1] == []


# -- writing rules --


def test_two_slots_of_one_rule_differ(toy: StoryGrammar) -> None:
    assert toy.log2_prob("Bob met B") > -inf
    assert toy.log2_prob("Bob met Bob") == -inf


def test_a_slot_can_decide_before_it_is_named() -> None:
    cast = "### cast\n| name | mood |\n|-|-|\n| Ann | glad |\n| Bob | sad |\n"
    start = "### start@glad\n- Ha\n### start@sad\n- Alas\n"
    story = "### story\n- {start@who.mood}_{who}.\n"
    grammar = StoryGrammar("### who = cast\n" + cast + start + story)
    assert {*grammar.sample(50, seed=0).split("\n\n")} == {"Ha Ann.", "Alas Bob.", ""}
    assert grammar.log2_prob("Alas Bob.\n\n") == pytest.approx(-1)


def test_slots_of_one_rule_can_run_out() -> None:
    slots = "### hero = cast\n### friend = cast\n### cast\n- Ann\n"
    grammar = StoryGrammar(slots + "### story\n- {hero} met {friend}\n")
    with pytest.raises(ValueError, match="nothing is left"):
        grammar.sample(1, seed=0)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("### other\n- a", "no rule 'story'"),
        ("### story\n- {friend}", "no rule 'friend'"),
        ("### story\n", "no rule 'story'"),
        ("### story\n- a\n### story\n- b", "two rules are called 'story'"),
        (
            "### story\n- {hero.age}\n### hero = cast\n### cast\n| name |\n|-|\n| Ann |",
            "no column 'age', only name",
        ),
        ("### story\n- {say@hero.age}", "no slot 'hero'"),
        ("### story\n- {hero\n", "without its partner"),
        ("### story\n- [a/b\n", "without its partner"),
        ("### story\n- {the hero}\n", "is not {name"),
        ("### story\n- {verb!kind}\n### verb\n- a", "plain texts can be marked"),
        ("### cast\n| name | she |\n|-|-|\n| Ann |", "2 columns, not as in: | Ann |"),
        ("- a bullet first", "before the first rule"),
    ],
)
def test_mistakes_in_rules_are_named(rules: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        StoryGrammar(rules)
