"""DINO's weighted k-NN (arXiv 2104.14294, section 4), one image and one neighbour at a time."""

import math


def classify(bank, labels, queries, k, temperature):
    """The class of every query, and how far its votes are ahead of the next class's."""
    found = []
    for query in queries:
        similar = sorted(
            (
                (cosine(query, features), int(label))
                for features, label in zip(bank, labels, strict=True)
            ),
            reverse=True,
        )
        votes = {}
        for similarity, label in similar[:k]:
            votes[label] = votes.get(label, 0.0) + math.exp(similarity / temperature)
        order = sorted(votes, key=votes.get, reverse=True)
        lead = votes[order[0]] - (votes[order[1]] if len(order) > 1 else 0.0)
        # How clear it is which neighbours are the k nearest.
        gap = similar[k - 1][0] - similar[k][0] if k < len(similar) else 1.0
        found.append((order[0], min(lead / votes[order[0]], gap)))
    return found


def cosine(a, b):
    dot = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
    length = math.sqrt(sum(float(x) ** 2 for x in a) * sum(float(y) ** 2 for y in b))
    return dot / length if length else 0.0
