"""A csv file of image files and captions: Wukong's test set and its sample of 50,000 pairs.

wukong_test.csv         dir,text,token,url,alt_id        `dir` is the image's file name
wukong50k_release.csv   url,caption                      images fetched by yourself, named by the row: 0.jpg, 1.jpg
"""

from __future__ import annotations

import csv
import io

from altclip.errors import DataError
from altclip.evaluate.benchmarks.content import Caption, CaptionSet, caption_set
from altclip.evaluate.benchmarks.files import image_folder, image_name, read_text
from altclip.evaluate.benchmarks.request import Request


def read(request: Request, *, text: str, file: str = "") -> CaptionSet:
    """text, file: columns of the csv; without a column of files, the images are named by their row, from 0."""
    path = request.found["captions"]
    rows = list(csv.DictReader(io.StringIO(read_text(path), newline="")))
    wanted = [column for column in (text, file) if column]
    if not rows or any(row.get(column) is None for row in rows for column in wanted):
        raise DataError(f"{path} has {len(rows)} rows: expected some, with the columns {', '.join(wanted)} in each")
    names = [image_name(row[file].strip() if file else str(number)) for number, row in enumerate(rows)]
    captions = [
        Caption(row[text], (name,), f"row {number} of {path.name}")
        for number, (row, name) in enumerate(zip(rows, names, strict=True))
    ]
    images = image_folder(request.name, request.images, {name: name for name in names})
    return caption_set(images, {request.languages[0]: captions})
