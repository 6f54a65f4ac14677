"""Every tree, or many of them, that a power cut may leave after some steps; and putting one on a medium."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice, product
from pathlib import Path
from typing import Any
from unittest.mock import patch

from torture.disk import Disk, Image, Slot
from torture.recording import Mark, Recorder

# So many steps that are not certain are tried in every combination; of more, some combinations.
EXHAUSTIVE = 3
# What is in these is made anew or never read again, so it is no reason for a tree of its own.
_DERIVED = ("index", "tmp", "reserve")
_Choice = tuple[Slot | int, Sequence[Any]]


@dataclass(frozen=True)
class Moment:
    """The medium after so many steps; acts begun and acknowledged until then."""

    step: int
    disk: Disk
    acknowledged: int
    begun: int


def moments(recorder: Recorder) -> Iterator[Moment]:
    """Yield the moment after each step; the medium is the same object each time."""
    disk, acknowledged, begun = Disk(), 0, 0
    for made in recorder.first:
        disk.apply(made)
    for number, step in enumerate(recorder.log):
        if isinstance(step, Mark):
            acknowledged += step.word == "acknowledged"
            begun += step.word == "begun"
        else:
            disk.apply(step)
        yield Moment(number, disk, acknowledged, begun)


@dataclass(frozen=True)
class Cut:
    """One tree after a cut; `lost` tells whether anything that was done is not in it."""

    image: Image
    lost: bool

    def difference(self, disk: Disk) -> list[str]:
        """Return what is not as it was last: what is missing, what is back, and what is torn."""
        here, last = self.image.files, Image(disk).files
        lost = [f"{place} is missing" for place in last.keys() - here.keys()]
        back = [f"{place} is there" for place in here.keys() - last.keys()]
        torn = [
            f"{place} has {len(here[place][0])} of {len(last[place][0])} bytes, not the last ones"
            for place in here.keys() & last.keys()
            if here[place][0] != last[place][0]
        ]
        return [said for said in sorted([*lost, *back, *torn]) if not _is_derived(said.split(" ")[0])]

    def fingerprint(self) -> bytes:
        """Return what is the same for trees that say the same."""
        digest = blake2b(digest_size=12)
        for place in sorted(self.image.folders):
            if not _is_derived(place):
                digest.update(place.encode() + b"/\0")
        for place, (content, _) in sorted(self.image.files.items()):
            if not _is_derived(place):
                digest.update(place.encode() + b"\0%d\0" % len(content) + content)
        return digest.digest()


def cuts(disk: Disk, choose: random.Random, most: int) -> Iterator[Cut]:
    """Yield what a cut may leave now: everything when few steps are uncertain, else `most` of it."""
    major, lesser = _choices(disk)
    pending = sum(
        len(disk.files[key].contents) - 1 if isinstance(key, int) else len(options) - 1
        for key, options in major
    )
    if pending <= EXHAUSTIVE:
        combinations: Iterator[tuple[Any, ...]] = product(*(options for _, options in major))
    else:
        combinations = islice(_sampled([options for _, options in major], choose), most)
    for combination in combinations:
        taken = dict(zip((key for key, _ in major), combination, strict=True))
        lost = any(picked != options[-1] for (_, options), picked in zip(major, combination, strict=True))
        few = choose.random()
        taken |= {key: choose.choice(options) if few < 0.5 else options[-1] for key, options in lesser}
        yield Cut(_image(disk, taken, old_dates=choose.random() < 0.3), lost)


def _choices(disk: Disk) -> tuple[list[_Choice], list[_Choice]]:
    """Return each entry and file that is not certain with what it may be: those that matter, and others."""
    derived = _derived_folders(disk)
    named = {
        version.node
        for folder, entries in disk.folders.items()
        if folder not in derived
        for versions in entries.values()
        for version in versions
    }
    major: list[_Choice] = []
    lesser: list[_Choice] = []
    for slot, versions in disk.slots().items():
        is_lesser = slot[0] in derived or slot[1].startswith(".")
        (lesser if is_lesser else major).append((slot, range(len(versions))))
    for node in disk.uncertain():
        file = disk.files[node]
        if node in named:
            major.append((node, file.variants()))
        else:
            lesser.append((node, (file.contents[0], bytes(len(file.contents[-1])), file.contents[-1])))
    return major, lesser


def _derived_folders(disk: Disk) -> set[int]:
    return {
        version.node
        for entries in disk.folders.values()
        for name in _DERIVED
        for version in entries.get(name, ())
        if version.node is not None
    }


def _sampled(options: Sequence[Sequence[Any]], choose: random.Random) -> Iterator[tuple[Any, ...]]:
    """Yield everything, nothing, and then others: mostly all but one, or one alone, or any."""
    everything = tuple(one[-1] for one in options)
    nothing = tuple(one[0] for one in options)
    yield everything
    yield nothing
    while True:
        chance, at = choose.random(), choose.randrange(len(options))
        if chance < 0.4:
            yield (*everything[:at], choose.choice(options[at][:-1]), *everything[at + 1 :])
        elif chance < 0.6:
            yield (*nothing[:at], choose.choice(options[at][1:]), *nothing[at + 1 :])
        else:
            # Files are mostly whole or empty, or hardly any tree would have two torn ones and a sound one.
            yield tuple(
                one[-1] if choose.random() < 0.4 else choose.choice(one) if choose.random() < 0.7 else one[0]
                for one in options
            )


def _image(disk: Disk, taken: Mapping[Slot | int, Any], *, old_dates: bool) -> Image:
    slots = {key: value for key, value in taken.items() if isinstance(key, tuple)}
    contents = {key: value for key, value in taken.items() if isinstance(key, int)}
    return Image(disk, slots, contents, old_dates=old_dates)


def _is_derived(place: str) -> bool:
    parts = place.split("/")
    return any(part in _DERIVED for part in parts) or parts[-1].startswith(".")


@contextmanager
def unflushed() -> Iterator[None]:
    """Let nobody wait for the medium: what a flush is good for is known from the record.

    Trees to be judged lie in memory, but the directories above them are on the machine's disk.
    """
    with patch.object(os, "fsync", lambda _: None):
        yield


def put(image: Image, place: Path) -> None:
    """Make a directory this tree; what was in it goes."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for folder in image.folders:
        os.mkdir(f"{place}/{folder}", 0o700)
    for name, (content, moment) in image.files.items():
        path = f"{place}/{name}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, content.rstrip(b"\0"))
        os.ftruncate(descriptor, len(content))  # a reserve is a megabyte of nothing
        os.close(descriptor)
        os.utime(path, ns=(moment * 1000, moment * 1000))
