"""Names of metrics in reports: those of published tables and exercise sheets."""

from tusou_lab.strings import Strings

# The share of queries with a correct item among the first k: `hit@k` in the commands.
HEADLINE_PREFIXES = ("hit@", "mean_recall")
_PREFIXES = {"hit": "Recall", "precision": "Precision", "mrr": "MRR", "map": "MAP", "ndcg": "nDCG"}


def metric_name(name: str, words: Strings) -> str:
    """Return the name to show; what the commands call `hit@k` is Recall@k in published tables."""
    prefix, mark, depth = name.partition("@")
    if name == "mean_recall":
        return words["mean_recall_name"]
    if prefix == "recall":
        return words["set_recall_name"].format(k=depth)
    return f"{_PREFIXES.get(prefix, prefix)}{mark}{depth}"
