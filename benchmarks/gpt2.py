"""GPT-2's vocabulary on several kinds of text; a part of `benchmarks.vocabulary`."""

from typing import Any

from benchmarks.machine import gpt2_files
from llmlib import BPETokenizer, load_corpus

LEARNED_FROM = 1_000_000  # characters of the stories, for a vocabulary

# One passage in several languages, so that what it takes to say the same can be compared.
PASSAGE = {
    "English": "Every morning the clockmaker opens her window and listens. If the bells "
    "of the village are late, she laughs, puts on her coat and climbs the tower.",
    "German": "Jeden Morgen öffnet die Uhrmacherin ihr Fenster und horcht. Wenn die "
    "Glocken des Dorfes zu spät sind, lacht sie, zieht ihren Mantel an und steigt auf den "
    "Turm.",
    "Russian": "Каждое утро часовщица открывает окно и слушает. Если деревенские колокола "
    "опаздывают, она смеётся, надевает пальто и поднимается на башню.",
    "Greek": "Κάθε πρωί η ωρολογοποιός ανοίγει το παράθυρό της και ακούει. Αν οι καμπάνες "
    "του χωριού αργούν, γελάει, φοράει το παλτό της και ανεβαίνει στον πύργο.",
    "Hindi": "हर सुबह घड़ीसाज़ अपनी खिड़की खोलती है और सुनती है। अगर गाँव की घंटियाँ देर से बजती हैं, "
    "तो वह हँसती है, अपना कोट पहनती है और मीनार पर चढ़ती है।",
    "Chinese": "每天早上，钟表匠打开窗户，静静地听。如果村里的钟晚了，她就笑一笑，"
    "穿上外套，爬上钟楼。",
    "Japanese": "毎朝、時計職人は窓を開けて耳をすませる。村の鐘が遅れていると、彼女は笑い、"
    "コートを着て、塔に登る。",
}
CODE = '''\
def count_pairs(words):
    """How often each pair of neighbours stands in all words."""
    counts = {}
    for word, n in words.items():
        for i in range(len(word) - 1):
            pair = word[i], word[i + 1]
            if pair not in counts:
                counts[pair] = 0
            counts[pair] += n
    return counts
'''
NUMBERS = "1, 12, 123, 1234, 12345, 2025-11-21, 3.14159265, 0.5 + 0.25 = 0.75, 99.99%\n"
CUT = (" the clockmaker", " Pennywell", "Pennywell", " 1234567", "naïve", "🦔")
SCRIPTS = {  # the first and the last character of each
    "Chinese": ("\u4e00", "\u9fff"),
    "kana": ("\u3041", "\u30ff"),
    "Devanagari": ("\u0900", "\u097f"),
}
LAST = 8  # tokens of the passage that are kept to be shown
ODD = " SolidGoldMagikarp"  # a famous one (Rumbelow and Watkins 2023)


def measure_gpt2() -> dict[str, Any]:
    """What is in GPT-2's vocabulary, and how it cuts texts, beside one of the stories."""
    gpt2 = BPETokenizer.from_files(*gpt2_files())
    train, val = load_corpus("stories").split()
    ours = BPETokenizer.train(train[:LEARNED_FROM], vocab_size=2048)
    texts = {
        "stories": val[:20_000],
        "Shakespeare": load_corpus("shakespeare").split()[1][:20_000],
        **PASSAGE,
        "Python": CODE,
        "numbers": NUMBERS,
    }
    letters = [token for token in gpt2.vocab if token.strip().isalpha()]
    return {
        "vocab_size": gpt2.vocab_size,
        "first_merges": [written(a + b) for a, b in gpt2.merges[:12]],
        "last_merges": [written(a + b) for a, b in gpt2.merges[-6:]],
        "after_a_space": sum(token.startswith(b" ") for token in gpt2.vocab),
        "longest_in_letters": written(max(letters, key=len)),
        "texts": [
            {
                "text": name,
                "characters": len(text),
                "bytes": len(text.encode()),
                "tokens": len(gpt2.encode(text)),
                "tokens_of_the_stories": len(ours.encode(text)),
            }
            for name, text in texts.items()
        ],
        "passage": {
            language: {"text": text, "last_pieces": gpt2.pieces(text)[-LAST:]}
            for language, text in PASSAGE.items()
        },
        "scripts": scripts(gpt2),
        "pieces": {text: gpt2.pieces(text) for text in (*CUT, ODD)},
    }


def scripts(gpt2: BPETokenizer) -> dict[str, dict[str, int]]:
    """By script: how many of its characters are a token, and in the passage how many
    characters there are, how many of them are a token, and the tokens of the others.
    """
    tokens = {written(token).strip() for token in gpt2.vocab}
    found = {}
    for script, (first, last) in SCRIPTS.items():
        of_it = [c for text in PASSAGE.values() for c in text if first <= c <= last]
        others = [c for c in of_it if c not in tokens]
        found[script] = {
            "tokens": sum(len(t) == 1 and first <= t <= last for t in tokens),
            "in the passages": len(of_it),
            "of these tokens": len(of_it) - len(others),
            "tokens of the others": sum(len(gpt2.encode(c)) for c in others),
        }
    return found


def written(token: bytes) -> str:
    """A token as text; bytes that are no whole characters as `\\x` and two digits."""
    return token.decode("utf-8", "backslashreplace")
