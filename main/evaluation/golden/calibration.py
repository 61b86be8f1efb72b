"""Golden values for calibration.test.ts: temperature by scipy's bounded minimisation of the negative log-likelihood, errors and shares by numpy.

Needs Python 3.11, numpy 2 and scipy 1.

    python calibration.py > calibration.json
"""

import json
import sys

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

rng = np.random.default_rng(5)


def temperature(scores, labels):
    loss = lambda t: -np.mean(log_softmax(scores / np.exp(t), axis=1)[np.arange(len(labels)), labels])
    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-12})
    return float(np.exp(found.x))


def error(shares, labels):
    confidence, right = shares.max(1), shares.argmax(1) == labels
    bins = np.minimum((confidence * 10).astype(int), 9)
    return float(sum(abs((right[bins == b] - confidence[bins == b]).sum()) for b in range(10)) / len(labels))


def case(rows, classes, sharpness):
    """Labels drawn from the softmax of scores that are then made `sharpness` times as sure, and shifted as log-probabilities are."""
    true = rng.normal(0, 2, (rows, classes))
    labels = np.array([rng.choice(classes, p=p) for p in softmax(true, axis=1)])
    scores = np.round(true * sharpness - rng.uniform(0, 9, (rows, 1)), 4)
    halves = [temperature(scores[1 - h :: 2], labels[1 - h :: 2]) for h in (0, 1)]
    shares = np.empty_like(scores)
    for h in (0, 1):
        shares[h::2] = softmax(scores[h::2] / halves[h], axis=1)
    confidence, right = shares.max(1), shares.argmax(1) == labels
    return {
        "scores": scores.tolist(),
        "labels": labels.tolist(),
        "temperature": temperature(scores, labels),
        "errorBefore": error(softmax(scores, axis=1), labels),
        "error": error(shares, labels),
        "sure": [
            [at, int((confidence >= at).sum()), int(right[confidence >= at].sum())] for at in (0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
        ],
    }


json.dump([case(400, 2, 2.5), case(301, 5, 0.4), case(60, 3, 1)], sys.stdout)
print()
