"""How the documentation is built: `sphinx-build -n -W docs docs/_build/html`; any warning is an error."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent

project = "altclip"
author = "The altclip contributors"
copyright = "The altclip contributors"
# read, not imported: the site can be built without torch
release = re.findall(r'__version__ = "(.+)"', (ROOT / "src/altclip/__init__.py").read_text(encoding="utf-8"))[0]
version = release

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
nitpicky = True

# anchors of headings down to this level can be linked to; a link to one that is not there is a warning
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

html_theme = "furo"
html_title = f"altclip {release}"
