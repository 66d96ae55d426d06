"""Computes the embeddings that bench/locomo.py takes for the published LoCoMo file, with all-MiniLM-L6-v2.

In a virtual environment of its own, with the packages that demo/make_sample_data.py names::

    python -m bench.locomo_embeddings locomo10.json embeddings.npz
    python3 -m devtools run bench.locomo locomo10.json --embeddings embeddings.npz
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from bench.locomo_data import LocomoError, read_dataset
from demo.make_sample_data import compute_embeddings


def main(arguments: list[str]) -> int:
    """Embed the texts of turns and questions, in the order in which bench/locomo_data.py reads them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("dataset", type=Path, help="locomo10.json, or a directory as bench/locomo_data.py describes")
    parser.add_argument("embeddings", type=Path, metavar="FILE.npz", help="file to write")
    chosen = parser.parse_args(arguments)
    try:
        data = read_dataset(chosen.dataset)
    except LocomoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    turns = compute_embeddings([turn.text for turn in data.turns])
    questions = compute_embeddings([question.text for question in data.questions])
    np.savez_compressed(chosen.embeddings, turns=turns.astype(np.float16), questions=questions.astype(np.float16))
    print(f"{len(turns)} turns and {len(questions)} questions embedded")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
