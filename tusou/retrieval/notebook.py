"""Hits as a row of images or texts in a notebook."""

from base64 import b64encode
from dataclasses import dataclass
from html import escape

from tusou.bundle.bundle import Bundle
from tusou.core.errors import UnknownItem
from tusou.core.hits import Hit, Hits

_ROW = "display:flex;flex-wrap:wrap;gap:12px;align-items:flex-end"
_FIGURE = "margin:0;width:132px;font:12px/1.5 sans-serif;overflow-wrap:anywhere"


@dataclass(frozen=True, slots=True)
class HitsView:
    """HTML that a notebook displays; outside one, the same hits as lines of text."""

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def view_hits(hits: Hits, bundle: Bundle) -> HitsView:
    """Return a view of hits; the images are part of it, so that it needs no server.

    An item whose image or text is gone from the source is shown by its id alone.
    """
    figures = "".join(_figure(hit, bundle) for hit in hits)
    lines = (f"{hit.rank}\t{hit.item_id}\t{hit.score:.4f}" for hit in hits)
    return HitsView(f'<div style="{_ROW}">{figures}</div>', "\n".join(lines))


def _figure(hit: Hit, bundle: Bundle) -> str:
    caption = f"{hit.rank} · {escape(str(hit.item_id))} · {hit.score:.3f}"
    return (
        f'<figure style="{_FIGURE}">{_content(str(hit.item_id), bundle)}'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _content(item_id: str, bundle: Bundle) -> str:
    try:
        if bundle.items == "texts":
            return f"<div>{escape(bundle.text(item_id) or '')}</div>"
        data, media_type = bundle.image(item_id)
    except UnknownItem:
        return ""
    uri = f"data:{media_type};base64,{b64encode(data).decode()}"
    return f'<img src="{uri}" alt="{escape(item_id)}" style="max-width:100%;max-height:132px">'
