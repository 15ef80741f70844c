"""Makes docs/reference: `python -m docs.site.reference`, in the root of the repository."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from docs.site import cli_page, observe_pages, reasons_page, yaml_page

FOLDER = Path(__file__).parents[1] / "reference"

PAGES: Mapping[str, Callable[[], str]] = {
    "yaml.md": yaml_page.page,
    "cli.md": cli_page.page,
    "reasons.md": reasons_page.page,
    "metrics.md": observe_pages.metrics_page,
    "audit.md": observe_pages.audit_page,
}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())


if __name__ == "__main__":
    main()
