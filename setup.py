"""Put ``ibc_envs.pth`` beside the packages: it registers the environments when gymnasium is imported.

Everything else is in pyproject.toml; setuptools has no key for a file in the root of ``site-packages``.
"""

from pathlib import Path
from zipfile import ZipFile

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

NAME, CONTENT = "ibc_envs.pth", "import ibc_envs.gymnasium_plugin\n"


class BuildPy(build_py):
    """Build a wheel with the file."""

    def run(self) -> None:
        """See setuptools."""
        super().run()
        if not self.editable_mode:
            Path(self.build_lib, NAME).write_text(CONTENT, encoding="utf-8")


class EditableWheel(editable_wheel):
    """Build an editable wheel with the file."""

    def run(self) -> None:
        """See setuptools."""
        super().run()
        for path in Path(self.dist_dir).glob("*.whl"):
            with ZipFile(path, "a") as wheel:
                wheel.writestr(NAME, CONTENT)


setup(cmdclass={"build_py": BuildPy, "editable_wheel": EditableWheel})
