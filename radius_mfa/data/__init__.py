"""The files that go with the code: symbolic links to `dictionaries/`, `config/`, `deploy/` at the top of the tree.

Links rather than `package_dir`, because an editable install follows the one and not the other.
"""

from pathlib import Path

DICTIONARIES = Path(__file__).parent / "dictionaries"
CONFIG = Path(__file__).parent / "config"
DEPLOY = Path(__file__).parent / "deploy"  # nothing of ours reads it: it is for whoever has the wheel alone
