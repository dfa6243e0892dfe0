"""Models carried to other tools: folders that transformers, sentence-transformers, onnxruntime, Immich, torch open."""

from altclip.export.converting import FORMS, convert
from altclip.export.forms import Converted
from altclip.export.huggingface import to_huggingface
from altclip.export.immich import to_immich
from altclip.export.onnx_folder import to_onnx
from altclip.export.program import to_torch_export
from altclip.export.samples import Agreement
from altclip.export.sentence import to_sentence_transformers

__all__ = [
    "FORMS",
    "Agreement",
    "Converted",
    "convert",
    "to_huggingface",
    "to_immich",
    "to_onnx",
    "to_sentence_transformers",
    "to_torch_export",
]
