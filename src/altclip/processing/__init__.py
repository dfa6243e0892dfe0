"""From pictures and texts as people have them to the arrays that towers read; torch comes in with the first tensor."""

from altclip.processing.batches import BatchEncoding
from altclip.processing.images import ImageProcessor
from altclip.processing.opening import ImageSource, open_image
from altclip.processing.processor import Processor
from altclip.processing.tokenizers import Tokenizer

__all__ = ["BatchEncoding", "ImageProcessor", "ImageSource", "Processor", "Tokenizer", "open_image"]
