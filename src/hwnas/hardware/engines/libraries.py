"""The vendors' packages that engines need: what is installed, without importing it, and how to get the rest."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hwnas.core.errors import HwnasError, TargetUnavailable


@dataclass(frozen=True, slots=True)
class Library:
    """A package that an engine needs.

    Args:
        package: as pip names it.
        module: as it is imported.
        install: what pip is given to install it.
        oldest: the first version that will do, up to three numbers.
    """

    package: str
    module: str
    install: str
    oldest: str

    @property
    def remedy(self) -> str:
        """The command that installs it."""
        return f"pip install {self.install}"

    def installed(self) -> str | None:
        """The version that is installed, "" where it does not tell, None where there is none. Imports nothing."""
        try:
            if importlib.util.find_spec(self.module) is None:
                return None
        except ValueError:  # it is imported already, and does not tell from where
            return ""
        try:
            return importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:  # the same module from a package of another name
            return ""

    @contextmanager
    def needed_by(self, target: str) -> Iterator[None]:
        """Within, the library is imported; whatever is wrong with it becomes one sentence.

        Args:
            target: for messages.

        Raises:
            TargetUnavailable: it is not installed, too old, or cannot be imported; the message says what to do.
        """
        found = self.installed()
        if found is None:
            raise TargetUnavailable(
                f"target {target!r} needs the package {self.package}, which is not installed: {self.remedy}"
            )
        if found and _numbers(found) < _numbers(self.oldest):
            raise TargetUnavailable(
                f"target {target!r} needs {self.package} {self.oldest} or newer, and {found} is installed: "
                f"pip install --upgrade {self.package}"
            )
        try:
            yield
        except HwnasError:
            raise
        except Exception as reason:  # a broken installation can fail in any way
            said = " ".join(str(reason).split()) or type(reason).__name__
            raise TargetUnavailable(
                f"target {target!r} needs the package {self.package}, which is installed but does not work ({said}): "
                f"pip install --force-reinstall {self.package}"
            ) from None


ONNXRUNTIME = Library("onnxruntime", "onnxruntime", "onnxruntime", "1.22")
OPENVINO = Library("openvino", "openvino", "'hwnas[openvino]'", "2025.0")
NCNN = Library("ncnn", "ncnn", "'hwnas[ncnn]'", "1.0.20250503")
LITERT = Library("ai-edge-litert", "ai_edge_litert", "'hwnas[litert]'", "2.1.2")
MNN = Library("MNN", "MNN", "'hwnas[mnn]'", "3.6.1")
EXECUTORCH = Library("executorch", "executorch", "'hwnas[executorch]'", "1.5.1")
TORCH = Library("torch", "torch", "torch", "2.9")


def _numbers(version: str) -> tuple[int, ...]:
    """Up to three numbers: (1, 22, 0) of "1.22.0rc1"."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
