"""Check that a wheel holds every file of the package, and names its licences.

python .ci/wheel.py FOLDER_OF_THE_UNPACKED_WHEEL
"""

from __future__ import annotations

import sys
from pathlib import Path

SOURCE = Path("src")
LICENCES = (
    "License-Expression: Apache-2.0 AND LicenseRef-altclip-mini-weights AND CC-BY-SA-4.0",
    "License-File: LICENSE",
    "License-File: src/altclip/assets/mini/LICENSE",
    "License-File: src/altclip/assets/mini-diffusion/LICENSE",
)


def files(root: Path) -> set[Path]:
    """The files of the package under `root`, without what Python leaves there."""
    found = (path.relative_to(root) for path in (root / "altclip").rglob("*") if path.is_file())
    return {path for path in found if "__pycache__" not in path.parts}


def main() -> None:
    """Print what the wheel lacks, and leave with 1 if it lacks anything."""
    wheel = Path(sys.argv[1])
    missing = [str(path) for path in sorted(files(SOURCE) - files(wheel))]
    metadata = next(wheel.glob("altclip-*.dist-info/METADATA")).read_text(encoding="utf-8").splitlines()
    missing += [line for line in LICENCES if line not in metadata]
    for what in missing:
        print(f"the wheel lacks: {what}", file=sys.stderr)
    sys.exit(bool(missing))


if __name__ == "__main__":
    main()
