"""What a sandbox is: a node in which the party SANDBOX owns every dataset. There, and only there, cargo is invented.

Who owns a dataset is competent for what is said in it: where a department owns one, nobody may say what is not so.
"""

from collections.abc import Mapping

from domain.datasets import DATASETS

OWNER = "SANDBOX"


def is_one(owners: Mapping[str, str]) -> bool:
    """Whether it is a sandbox. `owners`: of each dataset.

    >>> is_one({}), is_one(dict.fromkeys(DATASETS, OWNER)), is_one({**dict.fromkeys(DATASETS, OWNER), "manifest": "C"})
    (False, True, False)
    """
    return all(owners.get(name) == OWNER for name in {*DATASETS, *owners})
