"""What DINO and SimDINO minimise, one pair of views and one image at a time, in float64.

Sources: DINO, arXiv 2104.14294, algorithm 1; SimDINO, arXiv 2502.10385.
"""

import torch
from tests.oracles.rates import coding_rate


def dino(student, teacher, centre, student_temperature, teacher_temperature):
    """Mean cross-entropy over images and pairs of different views; lists of views (B, K)."""
    losses = []
    for aim, theirs in enumerate(teacher):
        for view, ours in enumerate(student):
            if aim == view:
                continue
            for t, s in zip(theirs.double(), ours.double(), strict=True):
                p = ((t - centre.double()) / teacher_temperature).exp()
                q = (s / student_temperature).exp()
                losses.append(-(p / p.sum() * (q / q.sum()).log()).sum())
    return torch.stack(losses).mean()


def simdino(student, teacher, precision, weight):
    """Half the squared distances of different views, less the rate of the global ones."""
    distances = []
    for aim, theirs in enumerate(teacher):
        for view, ours in enumerate(student):
            if aim == view:
                continue
            for t, s in zip(theirs.double(), ours.double(), strict=True):
                distances.append(((t - s) ** 2).sum() / 2)
    rates = [coding_rate(view.double().T, precision) for view in student[: len(teacher)]]
    return torch.stack(distances).mean() - weight * torch.stack(rates).mean()
