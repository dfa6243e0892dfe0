"""How good a model is: zero-shot classification and retrieval in every language of a set, models side by side.

`benchmarks` reads sets as their authors hand them out; `suites` measures models on one or several, puts them beside
published rows and compares reports; `page` makes a report one HTML file; `mini` measures the bundled model on its own
data, against what it must reach. `embedding` runs a model for all of them.
"""

from altclip.evaluate.mini.measures import Settings
from altclip.evaluate.mini.report import Model, Report
from altclip.evaluate.mini.results import Result
from altclip.evaluate.mini.run import evaluate_models
from altclip.evaluate.mini.tables import tables
from altclip.evaluate.suites.compare import Comparison, compare
from altclip.evaluate.suites.report import SuiteReport
from altclip.evaluate.suites.run import evaluate_suite
from altclip.evaluate.suites.suite import Suite, read_suite, suite_of
from altclip.evaluate.suites.tables import set_tables
from altclip.evaluate.tables import Table, markdown

__all__ = [
    "Comparison",
    "Model",
    "Report",
    "Result",
    "Settings",
    "Suite",
    "SuiteReport",
    "Table",
    "compare",
    "evaluate_models",
    "evaluate_suite",
    "markdown",
    "read_suite",
    "set_tables",
    "suite_of",
    "tables",
]
