"""What every page must be: well nested, alone, and free of markup that came in with the data."""

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "input", "br", "hr", "wbr"}
SEAM = "\0"  # where a long name may be broken: no space between what stands on its two sides
BLOCKS = {
    "div",
    "p",
    "table",
    "figure",
    "section",
    "ul",
    "ol",
    "dl",
    "details",
    "h1",
    "h2",
    "h3",
    "h4",
    "fieldset",
}
LOADING = {"src", "href", "srcset", "data", "poster", "action", "formaction", "background"}


class Page(HTMLParser):
    """Collects tags, texts, ids and addresses, and refuses wrong nesting."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        assert not (tag in BLOCKS and "p" in self.open), f"<{tag}> inside <p>, line {self.getpos()[0]}"
        self.tags.append((tag, dict(attrs)))
        if tag == "wbr":
            self.texts.append(SEAM)
        if tag not in VOID and "/" not in (self.get_starttag_text() or "")[-2:]:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        last = self.open.pop()
        assert last == tag, f"</{tag}> closes <{last}>, line {self.getpos()[0]}"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"script", "style"}:
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All that a reader can read, white space collapsed."""
        return re.sub(r"\s+", " ", " ".join(self.texts).replace(f" {SEAM} ", ""))

    def values(self, *names: str) -> list[str]:
        """Values of these attributes, on any tag."""
        return [value or "" for _, attrs in self.tags for name, value in attrs.items() if name in names]


def check(html: str) -> Page:
    """The parsed page, after the checks that hold for all pages."""
    page = Page(html)
    ids = page.values("id")
    assert len(ids) == len(set(ids)), "an id occurs twice"
    for address in page.values(*LOADING):
        assert address.startswith(("#", "data:")), f"loads {address}"
        assert address[:1] != "#" or address[1:] in ids, f"{address} leads nowhere"
    for name in ("aria-labelledby", "aria-describedby"):
        assert set(" ".join(page.values(name)).split()) <= set(ids)
    assert "@import" not in html
    assert "url(" not in html
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")], "an inline handler"
    for tag, attrs in page.tags:
        if tag == "img":
            assert attrs.get("alt"), "a picture without words"
    return page
