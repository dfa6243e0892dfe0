"""A suite's report as one HTML file that needs nothing else: tables, charts, curves, confusions and contact sheets.

`chart_data`, `tables`, `sheets` and `sections` say what is shown; `bar_chart` and `curve_chart` draw it, `pictures`
makes thumbnails, `page.html.jinja` sets all of it. `drawing` is the door to matplotlib, `template` that to jinja2;
`files` writes whole or not at all.
"""

from altclip.evaluate.page.page import check, render
from altclip.pages.files import write

__all__ = ["check", "render", "write"]
