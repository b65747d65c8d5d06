"""Random numbers of one sample for transforms that draw from a generator of their own."""

import numpy as np


def sample_generator(results: dict) -> np.random.Generator:
    """A fresh generator, fixed by the sample's seed and by how many were taken for this sample before.

    Two transforms of a pipeline, also two of one kind, thus draw different numbers; nothing depends on the worker. They
    are counted from 1: NumPy takes (seed, k, attempt) and (seed, k, attempt, 0) for one seed, and the first seeds the
    generators of `random` and `numpy.random`.

    Args:
        results: of a pipeline under SeededDataset; ``generators_taken`` in it is counted up.

    Raises:
        ValueError: there is no ``sample_seed``.
    """
    if "sample_seed" not in results:
        raise ValueError("results have no sample_seed: wrap the data set in SeededDataset, or set one")
    taken = results.get("generators_taken", 0) + 1
    results["generators_taken"] = taken
    return np.random.default_rng((*results["sample_seed"], taken))
