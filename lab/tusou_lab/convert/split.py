"""A split to convert, as the writers of all formats read it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tusou.core.ids import ItemId
from tusou.data import DatasetQuery

# The ids and texts of the captions of each image, by its id.
Captions = dict[str, list[tuple[ItemId, str]]]


@dataclass(frozen=True, slots=True)
class SourceSplit:
    """A split to write; its images are read as they are written."""

    name: str
    item_ids: Sequence[str]
    integers: bool  # all item ids are canonical integers
    queries: Sequence[DatasetQuery] | None  # None if the source has no queries
    images: Iterator[tuple[str, bytes]]  # id and file of each image that can be read

    def captions(self, notes: Counter[str]) -> Captions:
        """Return the captions of each image; count queries without an image in the notes.

        The ids of the captions have one type.
        """
        known = set(self.item_ids)
        captions: Captions = {}
        omitted = 0
        one_type = len({type(query.query_id) for query in self.queries or ()}) == 1
        for query in self.queries or ():
            images = [str(item_id) for item_id in query.item_ids or () if str(item_id) in known]
            omitted += not images
            for item_id in dict.fromkeys(images):
                text_id = query.query_id if one_type else str(query.query_id)
                captions.setdefault(item_id, []).append((text_id, query.text))
        note = f"queries of {self.name} were left out: the format holds texts by their images"
        notes[note] += omitted
        return captions

    def describe_image(self, item_id: str, captions: Captions) -> dict[str, object]:
        """Return an image's id and captions as JSON, and caption ids unless `ID#0`, `ID#1`..."""
        ids = [text_id for text_id, _ in captions.get(item_id, ())]
        texts = [text for _, text in captions.get(item_id, ())]
        json_id = int(item_id) if self.integers else item_id
        row: dict[str, object] = {"item_id": json_id, "captions": texts}
        default_ids = [f"{item_id}#{number}" for number in range(len(ids))]
        return row if ids == default_ids else row | {"caption_ids": ids}
