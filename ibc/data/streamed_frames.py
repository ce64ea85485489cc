"""Pictures that are read from the first to the last one: out of a video, compressed entries, slices of an array."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ibc.data.damage import in_one_line
from ibc.data.episode import Frames, InvalidEpisode
from ibc.data.pictures import Fit, as_picture


class StreamedFrames(Frames):
    """Frames (N, H, W, C) uint8 of which one at a time is in memory. Reading them in order is what they are for.

    Args:
        path: of the data set, for messages.
        shape: (N, H, W, C).
        read: begins to read: an iterator over N pictures (H, W, C), uint8 or whole numbers as such.
    """

    def __init__(
        self, path: Path, shape: tuple[int, ...], read: Callable[[], Iterable[NDArray[Any]]]
    ) -> None:
        super().__init__(shape)
        self.path, self._begin = path, read

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """One after another.

        Raises:
            UserError: one cannot be read, or there are fewer.
        """
        step = 0

        def where() -> str:
            return f"picture {step}"

        with in_one_line(self.path, where):
            wanted = iter(self._steps)
            following = next(wanted, None)
            for step, picture in enumerate(self._begin()):
                if step != following:
                    continue
                if picture.shape != self.shape[1:]:
                    raise InvalidEpisode(f"it has shape {picture.shape}, others {self.shape[1:]}")
                yield as_picture(picture)
                following = next(wanted, None)
                if following is None:
                    return
            if following is not None:
                raise InvalidEpisode(
                    f"there are fewer than the {self._steps[-1] + 1} it should have"
                )

    def _read(self, key: Any) -> NDArray[np.uint8]:
        """See :class:`Frames`; a frame takes long."""
        if np.ndim(key) > 0:
            several: NDArray[np.uint8] = self.__array__()[key]
            return several
        return next(islice(self, int(key) % len(self), None))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All of them, in memory."""
        out = np.empty(self.shape, self.dtype)
        for place, frame in zip(out, self, strict=True):
            place[...] = frame
        return out.astype(dtype or self.dtype, copy=False)


def fitted(path: Path, frames: Frames, name: str, fit: Fit) -> StreamedFrames:
    """The same frames, each cut out and made smaller while it is read.

    Args:
        path: of the data set, for messages.
        frames: to change.
        name: of the camera, for messages.
        fit: the change.

    Raises:
        UserError: the crop is not inside of them.
    """
    shape = (len(frames), *fit.shape(name, frames.shape[1:]))
    return StreamedFrames(path, shape, lambda: map(fit, frames))


class Forward:
    """Pictures of a long file, for readers that each want some of them, in order.

    A reader goes on where the one before it stopped; the file is begun anew only to go back.

    Args:
        begin: an iterator over all pictures of the file.
    """

    def __init__(self, begin: Callable[[], Iterator[NDArray[Any]]]) -> None:
        self._begin = begin
        self._pictures: Iterator[NDArray[Any]] = iter(())
        self._position: int | None = None

    def read(self, first: int, count: int, *, is_last: bool = False) -> Iterator[NDArray[Any]]:
        """``count`` pictures from number ``first`` on, or as many as there are; the file's last ones if ``is_last``.

        Raises:
            InvalidEpisode: there are more, after the last ones: others are probably of other moments than their steps.
        """
        for number in range(first, first + count):
            if self._position is None or self._position > number:
                self._pictures, self._position = self._begin(), 0
            picture = next(islice(self._pictures, number - self._position, None), None)
            if picture is None:
                self._position = None
                return
            self._position = number + 1
            yield picture
        if is_last and next(self._pictures, None) is not None:
            self._position = None
            raise InvalidEpisode(
                f"the file has more pictures than these {first + count} steps: they do not come at one rate, or begin "
                "before the first step"
            )


def with_last_again(pictures: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """The pictures, and the last one once more: no training window shows what is seen after the last action."""
    picture: NDArray[Any] | None = None
    for picture in pictures:
        yield picture
    if picture is not None:
        yield picture
