"""The files that go with the code: symbolic links to `dictionaries/` and `config/` at the top of the tree.

Links rather than `package_dir`, because an editable install follows the one and not the other.
"""

from pathlib import Path

DICTIONARIES = Path(__file__).parent / "dictionaries"
CONFIG = Path(__file__).parent / "config"
