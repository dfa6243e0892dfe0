"""Models on disk and on the hub: found, read and written. The only place that knows other projects' names."""

from altclip.checkpoints.hub import HubOptions, resolve
from altclip.checkpoints.load import load_model, load_with_report
from altclip.checkpoints.opening import TOKENIZER_DIGEST, open_checkpoint, read_settings
from altclip.checkpoints.report import LoadReport
from altclip.checkpoints.save import save_model

__all__ = [
    "TOKENIZER_DIGEST",
    "HubOptions",
    "LoadReport",
    "load_model",
    "load_with_report",
    "open_checkpoint",
    "read_settings",
    "resolve",
    "save_model",
]
