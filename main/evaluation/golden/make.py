"""Golden values for the tests of main/evaluation, from independent implementations.

Needs Python 3.11 and sacrebleu 2.6.0. BLEU comes from sacrebleu. ROUGE is written here a second time from the paper's
definitions (rouge_score itself needs nltk): LCS by memoised recursion on prefixes instead of a table. McNemar and Cohen's kappa use
exact fractions.

    python make.py > golden.json
"""

import json
import random
import re
import sys
from collections import Counter
from fractions import Fraction
from functools import lru_cache
from math import comb

import sacrebleu

sys.setrecursionlimit(100_000)


def tokens(text):
    return re.findall("[a-z0-9]+", text.lower())


def prf(hits, reference, prediction):
    if hits == 0:
        return [0.0, 0.0, 0.0]
    p, r = hits / prediction, hits / reference
    return [p, r, 2 * p * r / (p + r)]


def ngram(reference, prediction, n):
    grams = lambda t: Counter(zip(*(t[i:] for i in range(n))))
    a, b = grams(reference), grams(prediction)
    return prf(sum((a & b).values()), sum(a.values()), sum(b.values()))


def lcs_places(a, b):
    @lru_cache(maxsize=None)
    def length(i, j):
        if i == 0 or j == 0:
            return 0
        if a[i - 1] == b[j - 1]:
            return length(i - 1, j - 1) + 1
        return max(length(i - 1, j), length(i, j - 1))

    places, i, j = [], len(a), len(b)
    while i and j:
        if a[i - 1] == b[j - 1]:
            i, j = i - 1, j - 1
            places.append(i)
        elif length(i, j - 1) > length(i - 1, j):
            j -= 1
        else:
            i -= 1
    return places


def summary(reference, prediction):
    r = [tokens(x) for x in reference.split("\n") if x]
    p = [tokens(x) for x in prediction.split("\n") if x]
    left_r, left_p = Counter(sum(r, [])), Counter(sum(p, []))
    m, n, hits = left_r.total(), left_p.total(), 0
    for sentence in r:
        union = sorted({i for c in p for i in lcs_places(tuple(sentence), tuple(c))})
        for i in union:
            w = sentence[i]
            if left_r[w] and left_p[w]:
                hits += 1
                left_r[w] -= 1
                left_p[w] -= 1
    return prf(hits, m, n)


def rouge(reference, prediction):
    r, p = tokens(reference), tokens(prediction)
    return {
        "rouge1": ngram(r, p, 1),
        "rouge2": ngram(r, p, 2),
        "rougeL": prf(len(lcs_places(tuple(r), tuple(p))), len(r), len(p)),
        "rougeLsum": summary(reference, prediction),
    }


rng = random.Random(7)
words = "the a cat dog sat on mat ran over hill and then home it was 3.5 miles, away. U.S.-based firm's \"best\" re-run (twice) 1990s & co; e.g. &amp; &quot;hm&quot; naïve café £5 10-12 x@y.z".split()


def sentence(low, high):
    return " ".join(rng.choice(words) for _ in range(rng.randint(low, high)))


def noisy(text):
    out = []
    for line in text.split("\n"):
        kept = [rng.choice(words) if rng.random() < 0.15 else w for w in line.split(" ") if rng.random() > 0.15]
        if rng.random() < 0.3 and len(kept) > 3:
            cut = rng.randrange(len(kept))
            kept = kept[cut:] + kept[:cut]
        out.append(" ".join(kept))
    rng.shuffle(out)
    return "\n".join(out)


references = ["\n".join(sentence(3, 14) for _ in range(rng.randint(1, 4))) for _ in range(40)]
predictions = [noisy(r) for r in references]
references += ["", "one two", "!!", "Line one\n\nLine two", "trailing dash -\nnext \u0085 x\u2003y  "]
predictions += ["one", "", "..", "line two\nline one\nline one", "trailing dash next x y <skipped> 5,000.25 -3"]
second = [noisy(r) for r in references]


def bleu(preds, refs):
    s = sacrebleu.corpus_bleu(preds, refs)
    return {
        "score": s.score,
        "precisions": s.precisions,
        "brevityPenalty": s.bp,
        "predictionLength": s.sys_len,
        "referenceLength": s.ref_len,
    }


tokenise = sacrebleu.BLEU().tokenizer
cases = {
    "all": [references, None, predictions],
    "twoReferences": [references, second, predictions],
    "short": [["the cat sat"], None, ["the cat ran"]],
    "noFourgram": [["the cat sat on the mat again today"], None, ["cat mat the again on today sat"]],
    "nothing": [["a b c d"], None, ["e f g h"]],
    "brief": [["the cat sat on the mat and then it ran home"], None, ["the cat sat on the mat"]],
}

mcnemar = []
for b, c in [(0, 0), (0, 1), (5, 5), (3, 10), (10, 3), (25, 50), (0, 40), (400, 480), (1200, 1000)]:
    n, k = b + c, min(b, c)
    p = min(Fraction(1), 2 * sum(Fraction(comb(n, i), 2**n) for i in range(k + 1)))
    mcnemar.append([b, c, float(p)])

first_answers = [rng.choice("abc") for _ in range(200)]
second_answers = [x if rng.random() < 0.6 else rng.choice("abc") for x in first_answers]
po = Fraction(sum(x == y for x, y in zip(first_answers, second_answers)), 200)
pe = sum(Fraction(first_answers.count(k) * second_answers.count(k), 200 * 200) for k in "abc")

json.dump(
    {
        "sacrebleu": sacrebleu.__version__,
        "references": references,
        "second": second,
        "predictions": predictions,
        "rouge": [rouge(r, p) for r, p in zip(references, predictions)],
        "tokens13a": [tokenise(p.rstrip()) for p in predictions],
        "bleu": {
            name: {"references": r, "second": s, "predictions": p, "expected": bleu(p, [r] if s is None else [r, s])}
            for name, (r, s, p) in cases.items()
        },
        "mcnemar": mcnemar,
        "kappa": {
            "first": "".join(first_answers),
            "second": "".join(second_answers),
            "expected": float((po - pe) / (1 - pe)),
        },
    },
    sys.stdout,
    ensure_ascii=True,
    indent=1,
)
print()
