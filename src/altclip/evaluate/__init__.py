"""How good a model is: zero-shot classification and retrieval in nine languages, models side by side.

From files to figures: `sets` reads, `embedding` runs the model, `zeroshot` and `drawings` are pure tasks, `suite` names
what is measured, `run` measures models, `report` and `tables` put them side by side.
"""

from altclip.evaluate.report import Model, Report
from altclip.evaluate.results import Result
from altclip.evaluate.run import evaluate_models
from altclip.evaluate.suite import Settings
from altclip.evaluate.tables import Table, markdown, tables

__all__ = ["Model", "Report", "Result", "Settings", "Table", "evaluate_models", "markdown", "tables"]
