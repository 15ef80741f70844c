"""How Sphinx makes the site of docs/: `make docs`.

The pages are Markdown that is read in the repository as well, so nothing in them is Sphinx's: what belongs where
is in contents.py, and put in here.  A link to a file outside of docs/ becomes one to a copy of it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

HERE = Path(__file__).parent
DOCS = HERE.parent
sys.path.insert(0, str(DOCS.parent))

from docs.site.contents import CALLED, CONTENTS, WITHIN  # noqa: E402  # found only now

project = "radius_mfa"
root_doc = "index"
exclude_patterns = ["site/*"]
extensions = ["myst_parser"]
smartquotes = False  # an option is --config, and not a dash
myst_heading_anchors = 4

# Nothing is fetched from elsewhere when a page is read: no fonts, no scripts.
html_theme = "furo"
html_title = "radius_mfa"
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_use_index = False
pygments_style = "default"
highlight_language = "none"  # where a page does not say

# The site has a front page of its own.
_FRONT_PAGE = re.compile(r"\]\((?:\.\./)+README\.md\)")
_CHANGES = re.compile(r"\]\(((?:\.\./)+CHANGELOG\.md)\)")  # a file like others, and no page
_JAPANESE = re.compile("[\u3041-\u30ff\u4e00-\u9fff]{2,}")
_ANCHOR = re.compile(r'<a id="([^"]+)">')


def toctree(pages: tuple[str, ...], caption: str = "") -> str:
    """A part of the contents, in MyST."""
    option = f":caption: {caption}\n" if caption else ""
    listed = "".join(f"{CALLED[page]} </{page}>\n" if page in CALLED else f"/{page}\n" for page in pages)
    return f"\n```{{toctree}}\n:hidden:\n{option}\n{listed}```\n"


def put_in_contents(_app: Sphinx, page: str, source: list[str]) -> None:
    """Add to a page what stands below it."""
    source[0] = _CHANGES.sub(r"](path:\1)", _FRONT_PAGE.sub("](/index.md)", source[0]))
    if page == root_doc:
        source[0] += "".join(toctree(pages, caption) for caption, pages in CONTENTS.items())
    elif page in WITHIN:
        source[0] += toctree(WITHIN[page])


def learn_anchors(app: Sphinx, doctree: nodes.document) -> None:
    """Let links lead to the `<a id="…">` of a table, as they do in the repository: MyST knows headings only."""
    slugs = app.env.metadata[app.env.docname].setdefault("myst_slugs", {})
    for raw in doctree.findall(nodes.raw):
        for name in _ANCHOR.findall(raw.astext()):
            slugs[name] = (raw.line or 0, name, name)


class SearchBoth(SearchEnglish):
    """Words of English, and of Japanese, which has no spaces: each run of it, and every two characters of one."""

    def split(self, input: str) -> list[str]:
        words = super().split(input)
        runs = [run for word in words for run in _JAPANESE.findall(word)]
        return words + [run[at : at + 2] for run in runs for at in range(len(run) - 1)]


def setup(app: Sphinx) -> None:
    app.add_search_language(SearchBoth)
    app.connect("source-read", put_in_contents)
    app.connect("doctree-read", learn_anchors)
