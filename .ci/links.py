"""Check the links inside the built site, and those of Markdown files of the repository to its own files.

    python .ci/links.py SITE_FOLDER FILE.md...

A link to another site is not followed. Exit code 1 and one line for each link that leads nowhere.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The ids that can be linked to on a page, and the links on it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        """Note ids and links."""
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in ("href", "src") and value is not None:
                self.links.append(value)


def site_problems(site: Path) -> list[str]:
    """Links between pages of `site` that lead to no file or no id."""
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    problems = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            fragment = unquote(parts.fragment)
            if not target.is_file() or (fragment and target in pages and fragment not in pages[target].ids):
                problems.append(f"{path.relative_to(site.resolve())}: {link}")
    return problems


def markdown_problems(path: Path) -> list[str]:
    """Relative links of a Markdown file, outside its code blocks, that lead to no file."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'(?:src|href)="([^"]+)"', text)]
    local = [link for link in links if not urlsplit(link).scheme and not link.startswith("#")]
    return [f"{path}: {link}" for link in local if not (path.parent / unquote(urlsplit(link).path)).exists()]


def main() -> None:
    """Print what leads nowhere, and leave with 1 if anything does."""
    site, *files = map(Path, sys.argv[1:])
    problems = site_problems(site) + [problem for path in files for problem in markdown_problems(path)]
    for problem in problems:
        print(f"broken link: {problem}", file=sys.stderr)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
