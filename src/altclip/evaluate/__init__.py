"""How good a model is: zero-shot classification and retrieval in nine languages, models side by side.

On the bundled model's own data: `sets` reads, `embedding` runs the model, `zeroshot` and `drawings` are pure tasks,
`suite` names what is measured, `run` measures models, `report` and `tables` put them side by side.

On benchmark sets: `benchmarks` reads them as their authors hand them out, `captioned` and `labelled` are pure tasks,
`dataset_run` measures models, `dataset_report` puts them beside the rows of `published`.
"""

from altclip.evaluate.dataset_report import DatasetReport, dataset_tables
from altclip.evaluate.dataset_run import evaluate_dataset
from altclip.evaluate.report import Model, Report
from altclip.evaluate.results import Result
from altclip.evaluate.run import evaluate_models
from altclip.evaluate.suite import Settings
from altclip.evaluate.tables import Table, markdown, tables

__all__ = [
    "DatasetReport",
    "Model",
    "Report",
    "Result",
    "Settings",
    "Table",
    "dataset_tables",
    "evaluate_dataset",
    "evaluate_models",
    "markdown",
    "tables",
]
