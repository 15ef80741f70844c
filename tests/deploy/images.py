"""What `deploy/` says, taken apart: the steps of an image, the services of a compose file."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
IMAGE = DEPLOY / "container" / "Containerfile"


@dataclass(frozen=True)
class Stage:
    """A stage of an image: what it begins `of`, and its instructions in order, each with what it says."""

    of: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [said for name, said in self.steps if name == instruction]

    def one(self, instruction: str) -> str:
        (said,) = self.all(instruction)
        return said

    def command(self, instruction: str) -> list[str]:
        """What is run without a shell: CMD, ENTRYPOINT, HEALTHCHECK."""
        words: list[str] = json.loads(re.sub(r"^.*?(?=\[)", "", self.one(instruction), flags=re.DOTALL))
        return words

    def copied(self) -> list[str]:
        """What comes from the folder that the image is built of."""
        words = [shlex.split(said) for said in self.all("COPY") if not said.startswith("--from")]
        return [each for several in words for each in several[:-1]]


def stages(containerfile: Path) -> list[Stage]:
    """Those of a Containerfile, in order."""
    text = re.sub(r"^#.*\n", "", containerfile.read_text(), flags=re.MULTILINE)
    found: list[Stage] = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        instruction, _, said = line.partition(" ")
        if instruction == "FROM":
            found.append(Stage(said))
        elif line and found:
            found[-1].steps.append((instruction, " ".join(said.split())))
    return found


def compose() -> dict[str, Any]:
    """The compose file, with its anchors followed."""
    read: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    return read
